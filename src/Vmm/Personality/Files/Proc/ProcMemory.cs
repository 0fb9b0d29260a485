using System.Text;
using Sandbox.Vmm.Memory;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>What /proc shows of a process's memory.</summary>
static class ProcMemory
{
    /// <summary>Arguments and environment together are below this (MAX_ARG_STRLEN times a few; execve checks).</summary>
    private const ulong MaximumArea = 8 << 20;

    /// <summary>The name of a mapping begins here, as in the kernel's show_map_vma.</summary>
    private const int NameColumn = 73;

    /// <summary>Copies a range of a process's memory: up to where it cannot be read any more.</summary>
    public static byte[] ReadArea(Process process, (ulong Start, ulong End) area)
    {
        if (area.End <= area.Start || process.AcquireMemory() is not { } memory)
            return [];
        byte[] content = new byte[Math.Min(area.End - area.Start, MaximumArea)];
        int done = 0;
        while (done < content.Length)
        {
            ulong address = area.Start + (ulong)done;
            int part = Math.Min(content.Length - done, Page.Size - (int)(address & (Page.Size - 1)));
            if (!memory.TryRead(new VirtualAddress(address), content.AsSpan(done, part)))
                break;
            done += part;
        }
        memory.Release();
        return done == content.Length ? content : content[..done];
    }

    public static byte[] Maps(Process process)
    {
        TextBuilder text = new();
        if (process.AcquireMemory() is not { } memory)
            return [];
        IReadOnlyList<MappingDescription> mappings = memory.Describe();
        memory.Release();
        foreach (MappingDescription mapping in mappings)
        {
            text.AddHex(mapping.Start, 8).Add('-').AddHex(mapping.End, 8).Add(' ')
                .Add((mapping.Protection & Protection.Read) != 0 ? 'r' : '-')
                .Add((mapping.Protection & Protection.Write) != 0 ? 'w' : '-')
                .Add((mapping.Protection & Protection.Execute) != 0 ? 'x' : '-')
                .Add(mapping.Shared ? 's' : 'p').Add(' ')
                .AddHex(mapping.Offset, 8).Add(' ')
                .AddHex(Sandbox.Host.Libc.major(mapping.Device), 2).Add(':')
                .AddHex(Sandbox.Host.Libc.minor(mapping.Device), 2).Add(' ')
                .Add(mapping.Inode).Add(' ');
            if (mapping.Name.Length > 0)
                text.PadTo(NameColumn).AddMangled(Encoding.UTF8.GetBytes(mapping.Name), "\n"u8);
            text.Add('\n');
        }
        return text.ToArray();
    }
}
