namespace Sandbox.Supervisor.Tests;

/// <summary>
/// The test tries a row of KnownFlaws (tests/Vmm.Tests/Virtio/Proof) here. docs/virtio.md is written from these, too.
/// </summary>
[AttributeUsage(AttributeTargets.Method, AllowMultiple = true)]
sealed class FlawAttribute(string row) : Attribute
{
    public string Row => row;
}
