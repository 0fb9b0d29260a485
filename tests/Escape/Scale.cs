namespace Sandbox.Escape;

/// <summary>How long the long tests take: a part of them in every run of ./test, all with --escape-all.</summary>
static class Scale
{
    public static bool Full { get; } = Environment.GetEnvironmentVariable("SANDBOX_ESCAPE_ALL") is not null;

    public static int Of(int full, int part) => Full ? full : part;
}
