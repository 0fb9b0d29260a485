using Sandbox.Host;
using Sandbox.Vmm.Memory;
using static Sandbox.Host.Libc;

namespace Sandbox.Fuzz.Targets;

/// <summary>Up to four address spaces and the objects mapped in them, beside their models.</summary>
/// <param name="isTight">
/// The memory limit is low. A refusal for want of memory is then no error; what is compared afterwards are only
/// invariants, because the model knows no limit.
/// </param>
sealed partial class MemorySession(GuestMemory memory, MemoryObjects objects, bool isTight, int processors)
{
    public const int MaximumSpaces = 4;

    /// <summary>In the end, not every page of a long mapping is read: that would take most of the time.</summary>
    private const int FinalStepMask = 31;

    private sealed class Space
    {
        public required AddressSpace Real { get; init; }
        public required ModelSpace Model { get; init; }
        public ShadowCpu[] Cpus { get; set; } = [];
    }

    private readonly List<Space> _spaces = [];
    private bool _isComparing = true;

    /// <summary>Of the space that the operation is about.</summary>
    private Space _current = null!;

    public void Start()
    {
        AddressSpace? real = memory.CreateAddressSpace();
        OracleException.Check(real is not null, "no room for the first address space");
        real!.MappingTop = new VirtualAddress((ulong)ModelSpace.PageCount * Page.Size);
        real.StackLimit = ulong.MaxValue;
        Add(real, new ModelSpace());
    }

    private void Add(AddressSpace real, ModelSpace model)
    {
        Space space = new() { Real = real, Model = model };
        space.Cpus = [.. Enumerable.Range(0, processors).Select(_ => new ShadowCpu(memory, real)
        {
            Rewritten = edits =>
            {
                foreach (ShadowCpu cpu in _spaces.SelectMany(s => s.Cpus))
                    cpu.Drop(edits);
            },
        })];
        foreach (ShadowCpu cpu in space.Cpus)
            real.AddProcessor(cpu);
        _spaces.Add(space);
    }

    /// <summary>The platform has forgotten every translation.</summary>
    public void ForgetTranslations()
    {
        foreach (ShadowCpu cpu in _spaces.SelectMany(s => s.Cpus))
            cpu.Forget();
    }

    public void Execute(in MemoryOperation operation)
    {
        _current = _spaces[operation.Space % _spaces.Count];
        switch (operation.Kind)
        {
            case MemoryOperation.Op.Map:
                Map(operation);
                break;
            case MemoryOperation.Op.Unmap:
                Compare("munmap", _current.Real.Unmap(operation.Start, operation.Bytes), operation.Count == 0 ? -EINVAL : 0);
                if (operation.Count > 0 && _isComparing)
                    _current.Model.Remove(operation.First, operation.Count);
                break;
            case MemoryOperation.Op.Protect:
                Compare("mprotect", _current.Real.Protect(operation.Start, operation.Bytes, operation.Protection),
                    _isComparing ? _current.Model.Protect(operation.First, operation.Count, operation.Protection) : 0);
                break;
            case MemoryOperation.Op.Remap:
                Remap(operation);
                break;
            case MemoryOperation.Op.Advise:
                Advise(operation);
                break;
            case MemoryOperation.Op.Write:
                Write(operation);
                break;
            case MemoryOperation.Op.Read:
                Read(operation);
                break;
            case MemoryOperation.Op.Run:
                CheckTranslations();
                Run(operation);
                break;
            case MemoryOperation.Op.Walk:
                CheckTranslations();
                Walk(operation);
                break;
            case MemoryOperation.Op.Fork:
                Fork();
                break;
            case MemoryOperation.Op.End:
                End();
                break;
            case MemoryOperation.Op.Break:
                Break(operation);
                break;
            case MemoryOperation.Op.Futex:
                Futex(operation);
                break;
            case MemoryOperation.Op.WriteObject:
                WriteObject(operation);
                break;
            case MemoryOperation.Op.ReadObject:
                ReadObject(operation);
                break;
            case MemoryOperation.Op.ResizeObject:
                ResizeObject(operation);
                break;
            case MemoryOperation.Op.PunchObject:
                objects.Real(operation.Object)?.PunchHole(operation.FirstCell * ModelObject.CellSize, operation.Cells * ModelObject.CellSize);
                if (objects.Real(operation.Object) is not null)
                    Punch(objects.Model(operation.Object), operation.FirstCell, operation.Cells);
                break;
        }
        foreach (ShadowCpu cpu in _spaces.SelectMany(s => s.Cpus))
            cpu.CheckQuarantine();
    }

    private void CheckTranslations()
    {
        foreach (ShadowCpu cpu in _current.Cpus)
            cpu.CheckTranslations();
    }

    /// <summary>Compares a result; a tight limit may get in the way of everything that may need memory.</summary>
    /// <returns>Whether the call did what the model says, and the model is to follow.</returns>
    private bool Compare(string call, long result, long expected)
    {
        if (isTight && result == -ENOMEM && expected != -ENOMEM)
            _isComparing = false;
        if (_isComparing)
            OracleException.Check(result == expected || (result >= 0 && expected == 0),
                $"{call}: {Name(result)}, the model says {Name(expected)}");
        return _isComparing && result >= 0;
    }

    private static string Name(long result) => result >= 0 ? "success" : Errno.Name((int)-result);

    private bool Compare(string access, FaultResult result, FaultResult expected)
    {
        if (isTight && result == FaultResult.OutOfMemory)
            _isComparing = false;
        if (_isComparing)
            OracleException.Check(result == expected, $"{access}: {result}, the model says {expected}");
        return _isComparing && result == FaultResult.Resolved;
    }

    private void Fork()
    {
        if (_spaces.Count == MaximumSpaces)
            return;
        if (_current.Real.Fork(_current.Cpus[0]) is { } child)
            Add(child, _current.Model.Fork());
        else
            OracleException.Check(isTight, "no room for a fork");
    }

    private void End()
    {
        if (_spaces.Count == 1)
            return;
        CheckMappings(_current);
        Release(_current);
        _spaces.Remove(_current);
    }

    private static void Release(Space space)
    {
        foreach (ShadowCpu cpu in space.Cpus)
        {
            cpu.Forget();
            space.Real.RemoveProcessor(cpu);
        }
        space.Real.Release();
    }

    /// <summary>Looks at everything once more, and gives it back.</summary>
    public void Finish()
    {
        foreach (Space space in _spaces)
        {
            CheckMappings(space);
            if (_isComparing)
            {
                _current = space;
                for (int i = 0; i < ModelSpace.PageCount; i += space.Model[i].IsMapped ? 1 + (i & FinalStepMask) : 1)
                    if (space.Model[i].IsMapped)
                        ReadPage(i);
            }
            CheckResidency(space);
        }
        foreach (Space space in _spaces)
            Release(space);
        _spaces.Clear();
    }

    /// <summary>What /proc/self/maps shows.</summary>
    private void CheckMappings(Space space)
    {
        ulong next = 0, mapped = 0;
        foreach (MappingDescription line in space.Real.Describe())
        {
            OracleException.Check(line.Start >= next && line.End > line.Start, "mappings overlap");
            next = line.End;
            mapped += line.End - line.Start;
            for (ulong at = line.Start; _isComparing && at < line.End; at += Page.Size)
                CheckPage(space.Model[(int)(at >> Page.Shift)], line, at);
        }
        OracleException.Check(space.Real.Usage.Mapped == mapped, "VmSize is not the sum of the mappings");
        if (_isComparing)
            OracleException.Check(mapped == (ulong)space.Model.MappedPages * Page.Size, "a mapping is missing");
    }

    private static void CheckPage(in ModelPage page, in MappingDescription line, ulong address)
    {
        OracleException.Check(page.IsMapped, "something is mapped where nothing should be");
        OracleException.Check(page.Protection == line.Protection && page.IsShared == line.Shared, "a mapping's rights are wrong");
        OracleException.Check((page.Object?.Inode ?? 0) == line.Inode, "another object is mapped");
        OracleException.Check(page.Object is null || line.Offset + (address - line.Start) == (ulong)page.Index * Page.Size,
            "another part of the object is mapped");
        OracleException.Check(page.IsHeap == (line.Name == "[heap]"), "the heap is not called so");
    }

    /// <summary>VmRSS is the pages that are there.</summary>
    private static void CheckResidency(Space space)
    {
        ulong resident = 0;
        foreach (MappingDescription line in space.Real.Describe())
        {
            // Pages of host files are not the guest's.
            if (line.Inode >= MemoryObjects.FirstHostInode)
                return;
            byte[] pages = new byte[(line.End - line.Start) >> Page.Shift];
            OracleException.Check(space.Real.TryGetResidency(new VirtualAddress(line.Start), pages), "mincore of what is mapped");
            resident += (ulong)pages.Count(static p => p != 0) * Page.Size;
        }
        OracleException.Check(resident == space.Real.Usage.Resident, "VmRSS is not the sum of the pages");
    }
}
