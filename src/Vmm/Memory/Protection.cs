namespace Sandbox.Vmm.Memory;

/// <summary>PROT_READ, PROT_WRITE, PROT_EXEC.</summary>
[Flags]
public enum Protection : byte
{
    None = 0,
    Read = 1,
    Write = 2,
    Execute = 4,
    ReadWrite = Read | Write,
    All = Read | Write | Execute,
}

/// <summary>How an access that faulted is to be answered.</summary>
public enum FaultResult
{
    /// <summary>The page is there now: run on.</summary>
    Resolved,
    /// <summary>SIGSEGV with SEGV_MAPERR: nothing is mapped there.</summary>
    NotMapped,
    /// <summary>SIGSEGV with SEGV_ACCERR: mapped, but not for this access.</summary>
    Forbidden,
    /// <summary>SIGBUS with BUS_ADRERR: beyond the end of the mapped file.</summary>
    NoBacking,
    /// <summary>The guest's memory limit is reached.</summary>
    OutOfMemory,
}
