namespace Sandbox.Vmm.Machine;

/// <summary>How the caller's standard streams reach a machine guest.</summary>
interface IMachineStreams
{
    /// <summary>Bytes that went to the caller.</summary>
    long OutputBytes { get; }

    /// <summary>Starts the threads that move bytes. Once, before the guest runs.</summary>
    void Start();

    /// <summary>Nothing more comes from the guest: waits a while for what is on its way.</summary>
    void Finish();
}
