namespace Sandbox.Supervisor.Jail;

/// <summary>
/// The host user and group of one VMM that root starts: a number that no account has and no other running VMM, so that
/// it owns nothing and shares nothing.
/// </summary>
static class VmmUser
{
    /// <summary>
    /// From here on systemd's table of user numbers (UIDS-GIDS) leaves 2^28 unused; a process number, which is below
    /// 2^22, picks one.
    /// </summary>
    const uint First = 0x7000_0000;

    /// <param name="supervisor">The supervisor's process number.</param>
    public static uint Of(int supervisor) => First + (uint)supervisor;
}
