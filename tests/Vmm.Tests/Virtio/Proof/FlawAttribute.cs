namespace Sandbox.Vmm.Tests.Virtio.Proof;

/// <summary>The test tries a row of <see cref="KnownFlaws"/> here.</summary>
[AttributeUsage(AttributeTargets.Method, AllowMultiple = true)]
sealed class FlawAttribute(string row) : Attribute
{
    public string Row => row;
}
