using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Files;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Loader;

/// <summary>
/// Turns a file into a program that is ready to run: follows "#!" lines, checks the ELF image, maps it and its
/// interpreter into a new address space and builds the initial stack. Either everything has worked, or nothing is left
/// behind and the old program runs on.
/// </summary>
/// <remarks>Safe from any thread; keeps no state between loads.</remarks>
public sealed partial class ProgramLoader(GuestMemory memory, Vdso vdso, LoaderOptions options)
{
    /// <summary>A script's interpreter may be a script, five times in all, as Linux has it (fs/exec.c).</summary>
    public const int MaximumScriptDepth = 5;

    private const int CommandNameBytes = 15;

    /// <summary>execve(2) up to the point of no return.</summary>
    /// <returns>0 with the program, or a negative errno with the reason for the operator.</returns>
    public long Load(
        in LoadRequest request, IExecutableOpener opener, out LoadedProgram? program, out ExecFailure reason)
    {
        program = null;
        reason = ExecFailure.NotAnExecutable;
        if (!request.File.TryAcquire())
            return -EBADF;
        Parts parts = new() { File = request.File, Arguments = request.Arguments };
        long error = FollowScripts(request, opener, ref parts, out reason);
        if (error == 0)
            error = ReadImages(opener, ref parts, out reason);
        if (error == 0)
            error = CheckArguments(request, ref parts, out reason);
        if (error == 0)
            error = BuildAddressSpace(request, parts, out program, out reason);
        parts.Interpreter?.Release();
        if (parts.Arguments != request.Arguments)
            parts.Arguments.Release();
        // The program has taken over the reference to its file.
        if (error != 0)
            parts.File.Release();
        return error;
    }

    /// <summary>What the stages of a load hand on. Both files are references that the load owns.</summary>
    private struct Parts
    {
        public required OpenFile File;
        public required ArgumentList Arguments;
        public ElfImage? Image;
        public OpenFile? Interpreter;
        public ElfImage? InterpreterImage;
    }

    private static long FollowScripts(
        in LoadRequest request, IExecutableOpener opener, ref Parts parts, out ExecFailure reason)
    {
        reason = ExecFailure.NotAnExecutable;
        byte[] path = request.Path;
        Span<byte> start = stackalloc byte[ScriptHeader.LineLimit];
        for (int depth = 0; ; depth++)
        {
            long count = ReadFully(parts.File, 0, start);
            if (count < 0)
                return count;
            if (!ScriptHeader.IsScript(start[..(int)count]))
                return 0;
            if (depth == MaximumScriptDepth)
                return -ELOOP;
            if (!ScriptHeader.TryParse(start[..(int)count], out ScriptHeader header))
                return -ENOEXEC;
            long error = parts.Arguments.ForScript(
                header.Interpreter, header.Argument, path, out ArgumentList arguments);
            if (error != 0)
            {
                reason = error == -ENOMEM ? ExecFailure.TooLarge : ExecFailure.ArgumentsTooLong;
                return error;
            }
            if (parts.Arguments != request.Arguments)
                parts.Arguments.Release();
            parts.Arguments = arguments;
            error = opener.OpenExecutable(header.Interpreter, out OpenFile? interpreter);
            if (error != 0)
                return RefuseInterpreter(error, out reason);
            parts.File.Release();
            parts.File = interpreter!;
            path = header.Interpreter.ToArray();
        }
    }

    private static long ReadImages(IExecutableOpener opener, ref Parts parts, out ExecFailure reason)
    {
        long error = ReadImage(parts.File, out parts.Image, out byte[] path, out reason);
        if (error != 0 || path.Length == 0)
            return error;
        error = opener.OpenExecutable(path, out parts.Interpreter);
        if (error != 0)
            return RefuseInterpreter(error, out reason);
        error = ReadImage(parts.Interpreter!, out parts.InterpreterImage, out _, out reason);
        // Linux tells a broken interpreter from a broken program.
        return error == -ENOEXEC ? -ELIBBAD : error;
    }

    /// <param name="interpreterPath">Empty when the image names none.</param>
    private static long ReadImage(
        OpenFile file, out ElfImage? image, out byte[] interpreterPath, out ExecFailure reason)
    {
        image = null;
        interpreterPath = [];
        reason = ExecFailure.NotAnExecutable;
        long result = file.GetStatus(out stat status);
        if (result < 0)
            return result;
        ulong length = (ulong)Math.Max(status.st_size, 0);

        Span<byte> start = stackalloc byte[ElfHeader.Size];
        result = ReadFully(file, 0, start);
        if (result < 0)
            return result;
        ElfError error = ElfHeader.Parse(start[..(int)result], length, out ElfHeader header);
        if (error == ElfError.None)
        {
            Span<byte> table = stackalloc byte[ElfHeader.MaximumProgramHeaders * ElfHeader.ProgramHeaderSize];
            table = table[..header.TableBytes];
            result = ReadFully(file, header.TableOffset, table);
            if (result < 0)
                return result;
            // The file may have become shorter since its length was asked for.
            error = result == table.Length ? ElfImage.Parse(header, table, length, out image) : ElfError.TableOutsideFile;
        }
        if (error == ElfError.None && image!.HasInterpreter)
        {
            byte[] bytes = new byte[image.InterpreterLength];
            result = ReadFully(file, image.InterpreterOffset, bytes);
            if (result < 0)
                return result;
            error = ElfError.InterpreterPathOutsideFile;
            if (result == bytes.Length)
            {
                error = ElfImage.ParseInterpreter(bytes, out ReadOnlySpan<byte> path);
                interpreterPath = path.ToArray();
            }
        }
        reason = error.ToExecFailure();
        return error == ElfError.None ? 0 : -error.ToErrno();
    }

    private static long CheckArguments(in LoadRequest request, ref Parts parts, out ExecFailure reason)
    {
        reason = ExecFailure.ArgumentsTooLong;
        if (parts.Arguments.Count == 0)
        {
            // Since 5.18 Linux never starts a program without argv[0].
            parts.Arguments = new ArgumentList();
            parts.Arguments.Add([]);
        }
        ulong strings = (ulong)parts.Arguments.Bytes.Length + (ulong)request.Environment.Bytes.Length
            + (ulong)request.Path.Length + 1;
        ulong pointers = sizeof(ulong) * ((ulong)parts.Arguments.Count + (ulong)request.Environment.Count);
        if (strings + pointers > ArgumentList.Limit(request.StackLimit))
            return -E2BIG;
        // They are put together once more, as they will lie on the stack.
        reason = ExecFailure.TooLarge;
        return request.Environment.TryHold((long)(strings + pointers)) ? 0 : -ENOMEM;
    }

    /// <returns>Bytes read: fewer than asked for only at the end of the file. Or a negative errno.</returns>
    private static long ReadFully(OpenFile file, ulong offset, Span<byte> destination)
    {
        int done = 0;
        while (done < destination.Length)
        {
            long count = file.ReadAt(destination[done..], (long)offset + done);
            if (count < 0)
                return count;
            if (count == 0)
                break;
            done += (int)count;
        }
        return done;
    }

    private static long RefuseInterpreter(long error, out ExecFailure reason)
    {
        reason = (int)-error switch
        {
            ENOENT or ENOTDIR => ExecFailure.InterpreterMissing,
            EACCES or EPERM => ExecFailure.PermissionDenied,
            EISDIR => ExecFailure.IsDirectory,
            _ => ExecFailure.NotAnExecutable,
        };
        // Linux does not tell a folder from a file that may not be executed.
        return error == -EISDIR ? -EACCES : error;
    }

    private static byte[] CommandName(ReadOnlySpan<byte> path)
    {
        ReadOnlySpan<byte> name = path[(path.LastIndexOf((byte)'/') + 1)..];
        return name[..Math.Min(name.Length, CommandNameBytes)].ToArray();
    }
}
