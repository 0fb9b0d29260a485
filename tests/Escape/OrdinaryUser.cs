namespace Sandbox.Escape;

/// <summary>Words that have a command run by a user without any right, to whom root has lent /dev/kvm.</summary>
static class OrdinaryUser
{
    /// <summary>In a mount namespace of its own, where the device is everybody's. A secret in his folder is his.</summary>
    public static string[] Prefix()
    {
        string node = Path.Combine(World.Current.NewFolder(), "kvm");
        return ["/usr/bin/unshare", "-m", "/bin/bash", "-c",
            $"mknod -m 666 {node} c 10 232 2>/dev/null; mount --bind {node} /dev/kvm"
            + " && { chown 4321:4321 secret 2>/dev/null; true; }"
            + " && exec setpriv --reuid=4321 --regid=4321 --clear-groups \"$0\" \"$@\""];
    }
}
