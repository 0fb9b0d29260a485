namespace Sandbox.Vmm.Personality;

/// <summary>What a thread must attend to before it may go back to user mode, and what cuts its waits short.</summary>
[Flags]
enum ThreadWork
{
    None = 0,
    /// <summary>An unblocked signal may be pending.</summary>
    Signal = 1,
    /// <summary>The thread has to end: its process exits, execs in another thread, or the guest is over.</summary>
    Exit = 2,
    /// <summary>The process is being stopped by job control.</summary>
    Stop = 4,
}
