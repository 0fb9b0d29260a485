namespace Sandbox.Vmm.Machine;

/// <summary>How the caller's standard streams reach a machine guest.</summary>
interface IMachineStreams
{
    /// <summary>Bytes that went to the caller.</summary>
    long OutputBytes { get; }

    /// <summary>Starts the threads that move bytes. Once, before the guest runs.</summary>
    void Start();

    /// <summary>Nothing more comes from the guest: waits for what is on its way.</summary>
    /// <param name="milliseconds">How much of the guest's time is left; -1 for any.</param>
    /// <returns>False when something may be left that the caller has not taken.</returns>
    bool Finish(long milliseconds);

    /// <summary>The caller has had enough: <see cref="Finish"/> waits no longer.</summary>
    void GiveUp();
}
