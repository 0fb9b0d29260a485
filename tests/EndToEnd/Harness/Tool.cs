namespace Sandbox.EndToEnd.Harness;

/// <summary>Programs of the host that tests run or need to exist in guests.</summary>
static class Tool
{
    /// <summary>The guest's PATH, so that both sides find the same program.</summary>
    public const string SearchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

    public static string? Find(string name) => name.Contains('/')
        ? name
        : SearchPath.Split(':').Select(folder => Path.Combine(folder, name)).FirstOrDefault(File.Exists);

    /// <summary>Skips the running test where a program that it needs is not installed.</summary>
    public static void Need(params string[] names)
    {
        foreach (string name in names)
            Assert.SkipUnless(Find(name) is not null, $"{name} is not installed");
    }

    /// <summary>Skips the running test where guest programs cannot be compiled.</summary>
    public static void NeedGuestPrograms() => Need("make", "gcc", "g++");
}
