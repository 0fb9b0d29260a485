using Sandbox.Policy.Contract;
using Sandbox.Vmm.Memory;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Loader;

public sealed partial class ProgramLoader
{
    private const int PrivateFixed = MAP_PRIVATE | MAP_FIXED;

    private long BuildAddressSpace(
        in LoadRequest request, in Parts parts, out LoadedProgram? program, out ExecFailure reason)
    {
        program = null;
        reason = ExecFailure.TooLarge;
        AddressSpace? space = memory.CreateAddressSpace();
        if (space is null)
            return -ENOMEM;
        long error = Populate(space, request, parts, out program);
        if (error == 0)
        {
            reason = ExecFailure.None;
            return 0;
        }
        space.Release();
        if (error != -ENOMEM)
            reason = ExecFailure.BadSegments;
        return error;
    }

    private long Populate(AddressSpace space, in LoadRequest request, in Parts parts, out LoadedProgram? program)
    {
        program = null;
        EntropySource entropy = options.CreateEntropy();
        EntropySource layoutEntropy = request.FixedLayout ? new NoEntropy() : entropy;
        AddressLayout layout = new(layoutEntropy, request.StackLimit);
        ElfImage image = parts.Image!;
        space.MappingTop = new VirtualAddress(layout.MapTop);
        space.StackLimit = request.StackLimit;

        // The vDSO first, so that it is at the top; the program before its interpreter, so that the interpreter's
        // place is chosen around it.
        long error = vdso.Map(space, layout.MapTop, out ulong vdsoAddress);
        if (error != 0)
            return error;
        error = PlaceProgram(space, image, parts, layout, out ulong bias, out ulong breakStart);
        if (error != 0)
            return error;
        ulong entry = unchecked(image.Header.Entry + bias);
        ulong start = entry, interpreterBias = 0;
        if (parts.InterpreterImage is { } interpreter)
        {
            error = interpreter.Header.IsFixed
                ? MapSegments(space, interpreter, parts.Interpreter!.Mappable, 0)
                : MapAnywhere(space, interpreter, parts.Interpreter!.Mappable, out interpreterBias);
            if (error != 0)
                return error;
            start = unchecked(interpreter.Header.Entry + interpreterBias);
        }

        AuxiliaryValues values = new()
        {
            VdsoAddress = vdsoAddress,
            ProgramHeaders = image.TableAddress == 0 ? 0 : unchecked(image.TableAddress + bias),
            ProgramHeaderCount = image.Header.TableCount,
            InterpreterBase = interpreterBias,
            ProgramEntry = entry,
            Credentials = request.Credentials,
            Secure = request.Secure,
            HardwareCapabilities = options.HardwareCapabilities,
            HardwareCapabilities2 = options.HardwareCapabilities2,
            MinimumSignalStack = options.MinimumSignalStack,
        };
        InitialStack stack = InitialStack.Build(
            layout.StackTop, parts.Arguments, request.Environment, request.Path, values, layoutEntropy, entropy);
        error = MapStack(space, layout, stack, image.ExecutableStack);
        if (error != 0)
            return error;
        space.SetBreakStart(new VirtualAddress(breakStart));

        (ulong codeStart, ulong codeEnd) = CodeBounds(image, bias);
        program = new LoadedProgram
        {
            Memory = space,
            EntryPoint = start,
            StackPointer = stack.StackPointer,
            Executable = parts.File,
            CommandName = CommandName(request.Path),
            ArgumentsStart = stack.ArgumentsStart,
            ArgumentsEnd = stack.ArgumentsEnd,
            EnvironmentStart = stack.EnvironmentStart,
            EnvironmentEnd = stack.EnvironmentEnd,
            AuxiliaryVector = stack.AuxiliaryVector.ToArray(),
            CodeStart = codeStart,
            CodeEnd = codeEnd,
            StackTop = layout.StackTop,
            BreakStart = breakStart,
            VdsoAddress = vdsoAddress,
        };
        return 0;
    }

    private static long PlaceProgram(
        AddressSpace space, ElfImage image, in Parts parts, in AddressLayout layout, out ulong bias, out ulong breakStart)
    {
        IMappable? backing = parts.File.Mappable;
        bias = 0;
        if (!image.Header.IsFixed && parts.InterpreterImage is null)
        {
            // Among the libraries: an interpreter that is started as a program must not sit where the program that it
            // loads will want to be, nor below a heap that would run into it.
            breakStart = layout.BreakStart(layout.ProgramBase);
            return MapAnywhere(space, image, backing, out bias);
        }
        if (!image.Header.IsFixed)
            bias = unchecked((layout.ProgramBase & ~(image.Alignment - 1)) - image.Start);
        breakStart = layout.BreakStart(unchecked(image.End + bias));
        return MapSegments(space, image, backing, bias);
    }

    /// <summary>Maps a position-independent image where the address space has room.</summary>
    private static long MapAnywhere(AddressSpace space, ElfImage image, IMappable? backing, out ulong bias)
    {
        bias = 0;
        ulong span = Page.RoundUp(image.End) - image.Start + (image.Alignment - Page.Size);
        long found = space.Map(
            VirtualAddress.Null, span, Protection.None, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, null, 0);
        if (found < 0)
            return found;
        long error = space.Unmap(new VirtualAddress((ulong)found), span);
        if (error != 0)
            return error;
        ulong start = ((ulong)found + (image.Alignment - 1)) & ~(image.Alignment - 1);
        bias = unchecked(start - image.Start);
        return MapSegments(space, image, backing, bias);
    }

    private static long MapSegments(AddressSpace space, ElfImage image, IMappable? backing, ulong bias)
    {
        if (backing is null)
            return -ENOEXEC;
        foreach (ref readonly ElfSegment segment in image.Segments)
        {
            long error = MapSegment(space, segment, backing, bias);
            if (error != 0)
                return error;
        }
        return 0;
    }

    private static long MapSegment(AddressSpace space, in ElfSegment segment, IMappable backing, ulong bias)
    {
        ulong start = unchecked(segment.PageStart + bias);
        ulong end = unchecked(segment.PageEnd + bias);
        ulong anonymousStart = start;
        if (segment.FileSize != 0)
        {
            ulong fileEnd = unchecked(segment.Address + segment.FileSize + bias);
            anonymousStart = Page.RoundUp(fileEnd);
            long mapped = space.Map(
                new VirtualAddress(start), anonymousStart - start, segment.Protection, PrivateFixed, backing,
                Page.RoundDown(segment.Offset));
            if (mapped < 0)
                return mapped;
            // The rest of the last page is the file's next bytes, which belong to somebody else. A segment that may
            // not be written keeps them, as on Linux.
            bool hasTail = segment.MemorySize > segment.FileSize && anonymousStart != fileEnd;
            if (hasTail && (segment.Protection & Protection.Write) != 0)
            {
                Span<byte> zeros = stackalloc byte[Page.Size];
                zeros.Clear();
                if (!space.TryWrite(new VirtualAddress(fileEnd), zeros[..(int)(anonymousStart - fileEnd)]))
                    return -ENOMEM;
            }
        }
        if (anonymousStart >= end)
            return 0;
        long added = space.Map(
            new VirtualAddress(anonymousStart), end - anonymousStart, segment.Protection,
            PrivateFixed | MAP_ANONYMOUS, null, 0);
        return added < 0 ? added : 0;
    }

    private static long MapStack(AddressSpace space, in AddressLayout layout, InitialStack stack, bool executable)
    {
        ulong start = Page.RoundDown(stack.StackPointer) - AddressLayout.InitialStackRoom;
        Protection protection = Protection.ReadWrite | (executable ? Protection.Execute : 0);
        long mapped = space.Map(
            new VirtualAddress(start), layout.StackTop - start, protection,
            PrivateFixed | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_STACK, null, 0, "[stack]");
        if (mapped < 0)
            return mapped;
        return space.TryWrite(new VirtualAddress(stack.StackPointer), stack.Content) ? 0 : -ENOMEM;
    }

    private static (ulong Start, ulong End) CodeBounds(ElfImage image, ulong bias)
    {
        ulong start = ulong.MaxValue, end = 0;
        foreach (ref readonly ElfSegment segment in image.Segments)
        {
            if ((segment.Protection & Protection.Execute) == 0)
                continue;
            start = Math.Min(start, segment.Address);
            end = Math.Max(end, segment.Address + segment.FileSize);
        }
        return end == 0 ? (0, 0) : (unchecked(start + bias), unchecked(end + bias));
    }
}
