using Sandbox.Vmm.Memory;
using static Sandbox.Host.Libc;

namespace Sandbox.Fuzz.Targets;

/// <summary>One page of an address space as mmap(2) and its family say it is.</summary>
struct ModelPage
{
    public bool IsMapped, IsShared, MayWrite, GrowsDown, DontFork, WipeOnFork, IsHeap;
    public Protection Protection;

    /// <summary>Null for private anonymous memory.</summary>
    public ModelObject? Object;

    /// <summary>The page's number in the object.</summary>
    public int Index;

    /// <summary>A private page that has been written no longer shows the object.</summary>
    public bool IsOwn;

    /// <summary>Content of an anonymous page, or of one's own.</summary>
    public uint Content;
}

/// <summary>
/// An address space, page by page, with neither page tables nor demand paging: what <see cref="AddressSpace"/> must
/// look like from inside.
/// </summary>
sealed class ModelSpace
{
    /// <summary>Everything happens below this page: three large pages and a bit.</summary>
    public const int PageCount = 0x600 + 0x40;

    public const int LowestPage = (int)(AddressSpace.LowestAddress >> Page.Shift);

    private const int StackGuardPages = 256;

    private readonly ModelPage[] _pages;

    public ModelSpace() => _pages = new ModelPage[PageCount];

    private ModelSpace(ModelPage[] pages) => _pages = pages;

    public ref ModelPage this[int page] => ref _pages[page];

    public int BreakStart { get; set; }

    /// <summary>In bytes.</summary>
    public ulong Break { get; set; }

    public int MappedPages => _pages.Count(static p => p.IsMapped);

    public bool IsFree(int first, int count)
    {
        for (int i = first; i < first + count; i++)
            if (_pages[i].IsMapped)
                return false;
        return true;
    }

    /// <summary>
    /// Whether a mapping of so many pages has a place, starting at a multiple of <paramref name="alignment"/>.
    /// </summary>
    public bool HasGap(int count, int alignment)
    {
        int free = 0;
        for (int i = PageCount - 1; i >= LowestPage; i--)
        {
            free = _pages[i].IsMapped ? 0 : free + 1;
            if (free >= count && i % alignment == 0)
                return true;
        }
        return false;
    }

    public void Place(int first, int count, ModelPage template)
    {
        for (int i = 0; i < count; i++)
        {
            _pages[first + i] = template;
            _pages[first + i].Index += i;
        }
    }

    public void Remove(int first, int count) => _pages.AsSpan(first, count).Clear();

    public long Protect(int first, int count, Protection protection)
    {
        for (int i = first; i < first + count; i++)
        {
            ref ModelPage page = ref _pages[i];
            if (!page.IsMapped)
                return -ENOMEM;
            if (!page.MayWrite && (protection & Protection.Write) != 0)
                return -EACCES;
            page.Protection = protection;
        }
        return 0;
    }

    public FaultResult Access(int number, bool write, bool execute)
    {
        ref ModelPage page = ref _pages[number];
        if (!page.IsMapped && !TryGrow(number))
            return FaultResult.NotMapped;
        Protection needed = execute ? Protection.Execute : write ? Protection.Write : Protection.None;
        if (page.Protection == Protection.None || (page.Protection & needed) != needed)
            return FaultResult.Forbidden;
        if (page.Object is not { } file || page.IsOwn)
            return FaultResult.Resolved;
        if (page.Index >= file.PageCount)
            return FaultResult.NoBacking;
        if (write && !page.IsShared)
            (page.IsOwn, page.Content) = (true, file.Content[page.Index]);
        return FaultResult.Resolved;
    }

    /// <summary>The stack comes down to the page, if nothing is too near below.</summary>
    private bool TryGrow(int number)
    {
        int above = number;
        while (above < PageCount && !_pages[above].IsMapped)
            above++;
        if (above == PageCount || !_pages[above].GrowsDown || number < LowestPage)
            return false;
        for (int i = number; i >= Math.Max(0, number - StackGuardPages); i--)
            if (_pages[i].IsMapped)
                return false;
        ModelPage template = _pages[above] with { Content = 0 };
        for (int i = number; i < above; i++)
            _pages[i] = template;
        return true;
    }

    /// <summary>What an accessible page shows.</summary>
    public uint Content(int number)
    {
        ref ModelPage page = ref _pages[number];
        return page.Object is { } file && !page.IsOwn ? file.Content[page.Index] : page.Content;
    }

    /// <summary>After a successful access for writing.</summary>
    public void Write(int number, int cell, byte value)
    {
        ref ModelPage page = ref _pages[number];
        if (page.Object is { } file && !page.IsOwn)
            file.Content[page.Index] = ModelObject.WithCell(file.Content[page.Index], cell, value);
        else
            page.Content = ModelObject.WithCell(page.Content, cell, value);
    }

    /// <summary>Private content is gone: zeros, or what the object shows.</summary>
    private static void Forget(ref ModelPage page) => (page.IsOwn, page.Content) = (false, 0);

    public long Advise(int first, int count, int advice, Action<ModelObject, int> punch)
    {
        bool hole = false;
        for (int i = first; i < first + count; i++)
        {
            ref ModelPage page = ref _pages[i];
            if (!page.IsMapped)
            {
                hole = true;
                continue;
            }
            bool isPlain = !page.IsShared && page.Object is null;
            switch (advice)
            {
                case MADV_FREE or MADV_WIPEONFORK when !isPlain:
                    return -EINVAL;
                case MADV_DONTNEED or MADV_FREE:
                    Forget(ref page);
                    break;
                case MADV_REMOVE when page.Object is null || (page.IsShared && page.Object.IsHostFile && page.MayWrite):
                    return -EINVAL;
                case MADV_REMOVE when !page.IsShared || !page.MayWrite:
                    return -EACCES;
                case MADV_REMOVE:
                    punch(page.Object, page.Index);
                    break;
                case MADV_DONTFORK or MADV_DOFORK:
                    page.DontFork = advice == MADV_DONTFORK;
                    break;
                case MADV_WIPEONFORK or MADV_KEEPONFORK:
                    page.WipeOnFork = advice == MADV_WIPEONFORK;
                    break;
                case MADV_POPULATE_READ or MADV_POPULATE_WRITE:
                    switch (Access(i, advice == MADV_POPULATE_WRITE, execute: false))
                    {
                        case FaultResult.NoBacking:
                            return -EFAULT;
                        case FaultResult.Forbidden:
                            return -EINVAL;
                    }
                    break;
            }
        }
        return hole ? -ENOMEM : 0;
    }

    /// <summary>The object became shorter, or got a hole: then private copies stay.</summary>
    public void ObjectShrank(ModelObject file, int firstPage)
    {
        for (int i = 0; i < PageCount; i++)
            if (_pages[i].Object == file && _pages[i].Index >= firstPage)
                Forget(ref _pages[i]);
    }

    /// <summary>mremap(2) past its checks: moves pages and adds fresh ones.</summary>
    public void Move(int first, int oldCount, int target, int newCount, bool keepsOld)
    {
        Remove(target, newCount);
        ModelPage[] moved = _pages.AsSpan(first, oldCount).ToArray();
        MoveAway(first, oldCount, keepsOld);
        moved.CopyTo(_pages, target);
        Extend(target + oldCount, newCount - oldCount);
    }

    /// <summary>What mremap(2) leaves behind.</summary>
    public void MoveAway(int first, int count, bool keepsOld)
    {
        foreach (ref ModelPage page in _pages.AsSpan(first, count))
        {
            if (keepsOld)
                Forget(ref page);
            else
                page = default;
        }
    }

    /// <summary>More of the mapping that ends at a page.</summary>
    public void Extend(int end, int count)
    {
        ModelPage template = _pages[end - 1];
        Forget(ref template);
        template.Index = template.Object is null ? 0 : template.Index + 1;
        Place(end, count, template);
    }

    public ModelSpace Fork()
    {
        ModelSpace child = new([.. _pages]) { BreakStart = BreakStart, Break = Break };
        foreach (ref ModelPage page in child._pages.AsSpan())
        {
            if (page.DontFork)
                page = default;
            else if (page.WipeOnFork)
                Forget(ref page);
        }
        return child;
    }
}
