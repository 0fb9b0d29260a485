using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Loader;

/// <summary>What is wrong with an ELF file; one value per check, so that a test can tell them apart.</summary>
public enum ElfError
{
    None,
    HeaderTruncated,
    NotElf,
    NotClass64,
    NotLittleEndian,
    BadVersion,
    WrongMachine,
    NotExecutableType,
    BadProgramHeaderSize,
    NoProgramHeaders,
    TooManyProgramHeaders,
    TableOutsideFile,
    NoSegments,
    SegmentFileSizeExceedsMemorySize,
    SegmentFileRangeWraps,
    SegmentOutsideFile,
    SegmentNotCongruent,
    SegmentWraps,
    SegmentOutsideUserSpace,
    SegmentsOverlap,
    ImageTooLarge,
    EntryOutsideUserSpace,
    InterpreterPathEmpty,
    InterpreterPathTooLong,
    InterpreterPathOutsideFile,
    InterpreterPathNotTerminated,
}

public static class ElfErrors
{
    /// <summary>What the operator is told when this stops the guest's first program.</summary>
    public static ExecFailure ToExecFailure(this ElfError error) => error switch
    {
        ElfError.None => ExecFailure.None,
        ElfError.NotElf or ElfError.NotExecutableType or ElfError.BadVersion => ExecFailure.NotAnExecutable,
        ElfError.NotClass64 or ElfError.NotLittleEndian or ElfError.WrongMachine => ExecFailure.WrongArchitecture,
        ElfError.HeaderTruncated or ElfError.TableOutsideFile or ElfError.SegmentOutsideFile
            or ElfError.InterpreterPathOutsideFile => ExecFailure.Truncated,
        ElfError.ImageTooLarge => ExecFailure.TooLarge,
        _ => ExecFailure.BadSegments,
    };

    /// <summary>What execve(2) answers.</summary>
    public static int ToErrno(this ElfError error) => error == ElfError.ImageTooLarge ? ENOMEM : ENOEXEC;
}
