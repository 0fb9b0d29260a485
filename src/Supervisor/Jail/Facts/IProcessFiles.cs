namespace Sandbox.Supervisor.Jail.Facts;

/// <summary>The files of one process in /proc, by names in its folder there. Every answer has a bound.</summary>
interface IProcessFiles
{
    /// <summary>The most bytes of a file, and of a list of names.</summary>
    const int MaximumBytes = 1 << 20;

    Reading<string> Read(string path);

    /// <summary>Where a symbolic link leads.</summary>
    Reading<string> Link(string path);

    /// <summary>What is in a folder.</summary>
    Reading<string[]> Names(string folder);

    /// <summary>Whose file it is on the host.</summary>
    Reading<uint> Owner(string path);
}
