namespace Sandbox.Vmm.Tests.Virtio.Proof;

/// <summary>The test proves a row of <see cref="VirtioRequirements"/>.</summary>
/// <param name="row">Its number: a section of virtio 1.2 and a letter.</param>
[AttributeUsage(AttributeTargets.Method, AllowMultiple = true)]
sealed class RequirementAttribute(string row) : Attribute
{
    public string Row => row;
}
