using System.Buffers.Binary;
using Sandbox.Vmm.Memory;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Loader;

/// <summary>One PT_LOAD segment that occupies memory. All sums of its members are known not to wrap.</summary>
public readonly record struct ElfSegment(
    ulong Offset, ulong Address, ulong FileSize, ulong MemorySize, Protection Protection)
{
    public ulong PageStart => Page.RoundDown(Address);

    public ulong End => Address + MemorySize;

    public ulong PageEnd => Page.RoundUp(End);
}

/// <summary>
/// What of an ELF program the loader acts on, checked so that mapping it cannot surprise: addresses do not wrap,
/// lie in user space, do not overlap page by page, and lie in the file where they claim to.
/// </summary>
/// <remarks>
/// Stricter than Linux where Linux maps nonsense and lets the program crash: a segment beyond the end of the file,
/// overlapping segments and an entry point outside user space are refused here.
/// </remarks>
public sealed class ElfImage
{
    /// <summary>The longest interpreter path, NUL included: PATH_MAX.</summary>
    public const int MaximumInterpreterPath = 4096;

    private const ulong MaximumAlignment = 1UL << 30;

    private readonly ElfSegment[] _segments;

    private ElfImage(in ElfHeader header, ElfSegment[] segments)
    {
        Header = header;
        _segments = segments;
    }

    public ElfHeader Header { get; }

    /// <summary>In the order of the file's table, at least one.</summary>
    public ReadOnlySpan<ElfSegment> Segments => _segments;

    /// <summary>The page of the lowest byte, before the load bias.</summary>
    public ulong Start { get; private init; }

    /// <summary>The end of the highest byte, before the load bias; not rounded.</summary>
    public ulong End { get; private init; }

    /// <summary>What a position-independent image's base must be a multiple of; a power of two, at least a page.</summary>
    public ulong Alignment { get; private init; }

    /// <summary>PT_GNU_STACK asks for an executable stack. Without that header x86-64 has none.</summary>
    public bool ExecutableStack { get; private init; }

    public bool HasInterpreter => InterpreterLength != 0;

    /// <summary>Where the interpreter's path, with its NUL, lies in the file.</summary>
    public ulong InterpreterOffset { get; private init; }

    public int InterpreterLength { get; private init; }

    /// <summary>The address of the program header table in memory before the bias (AT_PHDR), 0 when not loaded.</summary>
    public ulong TableAddress { get; private init; }

    /// <summary>Checks the program header table. Looks at nothing but its arguments.</summary>
    /// <param name="table">Exactly <see cref="ElfHeader.TableBytes"/> bytes.</param>
    /// <param name="fileLength">The whole file's length in bytes.</param>
    public static ElfError Parse(in ElfHeader header, ReadOnlySpan<byte> table, ulong fileLength, out ElfImage? image)
    {
        image = null;
        Span<ElfSegment> segments = stackalloc ElfSegment[ElfHeader.MaximumProgramHeaders];
        int count = 0;
        ulong start = ulong.MaxValue, end = 0, alignment = Page.Size, tableAddress = 0;
        ulong interpreterOffset = 0;
        int interpreterLength = 0;
        bool executableStack = false;

        for (int i = 0; i < header.TableCount; i++)
        {
            ReadOnlySpan<byte> entry = table.Slice(i * ElfHeader.ProgramHeaderSize, ElfHeader.ProgramHeaderSize);
            uint type = BinaryPrimitives.ReadUInt32LittleEndian(entry);
            uint flags = BinaryPrimitives.ReadUInt32LittleEndian(entry[4..]);
            ulong offset = BinaryPrimitives.ReadUInt64LittleEndian(entry[8..]);
            ulong address = BinaryPrimitives.ReadUInt64LittleEndian(entry[16..]);
            ulong fileSize = BinaryPrimitives.ReadUInt64LittleEndian(entry[32..]);
            ulong memorySize = BinaryPrimitives.ReadUInt64LittleEndian(entry[40..]);
            ulong align = BinaryPrimitives.ReadUInt64LittleEndian(entry[48..]);
            switch (type)
            {
                case PT_LOAD when fileSize == 0 && memorySize == 0:
                    break;
                case PT_LOAD:
                    ElfError error = CheckSegment(header, offset, address, fileSize, memorySize, fileLength);
                    if (error != ElfError.None)
                        return error;
                    ElfSegment segment = new(offset, address, fileSize, memorySize, ToProtection(flags));
                    foreach (ref readonly ElfSegment other in segments[..count])
                        if (segment.PageStart < other.PageEnd && other.PageStart < segment.PageEnd)
                            return ElfError.SegmentsOverlap;
                    segments[count++] = segment;
                    start = Math.Min(start, segment.PageStart);
                    end = Math.Max(end, segment.End);
                    if (ulong.IsPow2(align) && align <= MaximumAlignment)
                        alignment = Math.Max(alignment, align);
                    if (tableAddress == 0 && header.TableOffset >= offset && header.TableOffset - offset < fileSize)
                        tableAddress = header.TableOffset - offset + address;
                    break;
                case PT_INTERP when interpreterLength == 0:
                    if (fileSize < 2)
                        return ElfError.InterpreterPathEmpty;
                    if (fileSize > MaximumInterpreterPath)
                        return ElfError.InterpreterPathTooLong;
                    if (offset > fileLength || fileLength - offset < fileSize)
                        return ElfError.InterpreterPathOutsideFile;
                    interpreterOffset = offset;
                    interpreterLength = (int)fileSize;
                    break;
                case PT_GNU_STACK:
                    executableStack = (flags & PF_X) != 0;
                    break;
            }
        }

        if (count == 0)
            return ElfError.NoSegments;
        if (end - start > AddressLayout.MaximumImageSpan)
            return ElfError.ImageTooLarge;
        // A position-independent entry is relative to the image; a fixed one may be anywhere in user space.
        if (header.IsFixed ? header.Entry >= AddressLayout.UserEnd : header.Entry < start || header.Entry >= end)
            return ElfError.EntryOutsideUserSpace;

        image = new ElfImage(header, segments[..count].ToArray())
        {
            Start = start,
            End = end,
            Alignment = alignment,
            ExecutableStack = executableStack,
            InterpreterOffset = interpreterOffset,
            InterpreterLength = interpreterLength,
            TableAddress = tableAddress,
        };
        return ElfError.None;
    }

    /// <summary>All checks over a file that is in memory as a whole.</summary>
    public static ElfError Parse(ReadOnlySpan<byte> file, out ElfImage? image, out ReadOnlySpan<byte> interpreter)
    {
        image = null;
        interpreter = default;
        ElfError error = ElfHeader.Parse(file, (ulong)file.Length, out ElfHeader header);
        if (error != ElfError.None)
            return error;
        ReadOnlySpan<byte> table = file.Slice((int)header.TableOffset, header.TableBytes);
        error = Parse(header, table, (ulong)file.Length, out ElfImage? parsed);
        if (error != ElfError.None)
            return error;
        if (parsed!.HasInterpreter)
        {
            error = ParseInterpreter(file.Slice((int)parsed.InterpreterOffset, parsed.InterpreterLength), out interpreter);
            if (error != ElfError.None)
                return error;
        }
        image = parsed;
        return ElfError.None;
    }

    /// <summary>Checks PT_INTERP's bytes and cuts the path at its first NUL.</summary>
    public static ElfError ParseInterpreter(ReadOnlySpan<byte> bytes, out ReadOnlySpan<byte> path)
    {
        path = default;
        if (bytes.IsEmpty || bytes[^1] != 0)
            return ElfError.InterpreterPathNotTerminated;
        path = bytes[..bytes.IndexOf((byte)0)];
        return path.IsEmpty ? ElfError.InterpreterPathEmpty : ElfError.None;
    }

    private static ElfError CheckSegment(
        in ElfHeader header, ulong offset, ulong address, ulong fileSize, ulong memorySize, ulong fileLength)
    {
        if (fileSize > memorySize)
            return ElfError.SegmentFileSizeExceedsMemorySize;
        if (offset + fileSize < offset)
            return ElfError.SegmentFileRangeWraps;
        if (fileSize != 0 && offset + fileSize > fileLength)
            return ElfError.SegmentOutsideFile;
        // Without file content there is nothing whose page offset would have to match.
        if (fileSize != 0 && (offset - address) % Page.Size != 0)
            return ElfError.SegmentNotCongruent;
        if (address + memorySize < address)
            return ElfError.SegmentWraps;
        ulong lowest = header.IsFixed ? AddressLayout.UserStart : 0;
        if (address < lowest || address + memorySize > AddressLayout.UserEnd)
            return ElfError.SegmentOutsideUserSpace;
        return ElfError.None;
    }

    private static Protection ToProtection(uint flags) =>
        ((flags & PF_R) != 0 ? Protection.Read : 0)
        | ((flags & PF_W) != 0 ? Protection.Write : 0)
        | ((flags & PF_X) != 0 ? Protection.Execute : 0);
}
