namespace Sandbox.Host;

/// <summary>Keys that the kernel keeps: linux/keyctl.h, keyctl(2).</summary>
public static partial class Libc
{
    public const int KEY_SPEC_THREAD_KEYRING = -1;
    public const int KEYCTL_GET_KEYRING_ID = 0;
    public const int KEYCTL_JOIN_SESSION_KEYRING = 1;
}
