using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Personality.Files;

namespace Sandbox.Vmm.Personality;

public sealed partial class LinuxPersonality
{
    private VirtualFileSystem? _files;

    /// <summary>The guest's file tree.</summary>
    public VirtualFileSystem Files =>
        _files ?? throw new InvalidOperationException("the file tree has not been built yet");

    /// <summary>Builds the file tree from the plan. Once, before the first process is made.</summary>
    /// <param name="descriptors">The plan's descriptors in order; the tree takes over those its files use.</param>
    /// <exception cref="HostException">A granted descriptor is not what the plan says.</exception>
    public void BuildFiles(IReadOnlyList<FileDescriptor> descriptors)
    {
        PathRules? rules = Plan.PathRules is PathTables tables ? new PathRules(tables) : null;
        _files = new VirtualFileSystem(
            this, Plan.User, Plan.Files, descriptors, Memory, Plan.Limits.TmpBytes, rules, Recorder);
        AttachSpecialFiles(_files);
    }
}
