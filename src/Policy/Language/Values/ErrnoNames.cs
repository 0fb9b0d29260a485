namespace Sandbox.Policy.Language;

/// <summary>Errors that a denied call may answer (asm-generic/errno-base.h, errno.h).</summary>
static class ErrnoNames
{
    static readonly Dictionary<string, int> s_numbers = new(StringComparer.Ordinal)
    {
        ["EPERM"] = 1, ["ENOENT"] = 2, ["EIO"] = 5, ["ENXIO"] = 6, ["EAGAIN"] = 11, ["ENOMEM"] = 12, ["EACCES"] = 13,
        ["ENODEV"] = 19, ["EINVAL"] = 22, ["ENOSPC"] = 28, ["EROFS"] = 30, ["ENOSYS"] = 38, ["EOPNOTSUPP"] = 95,
        ["EAFNOSUPPORT"] = 97, ["ENETUNREACH"] = 101, ["ECONNREFUSED"] = 111,
    };

    public static int Default => s_numbers["EPERM"];

    public static IEnumerable<string> Known => s_numbers.Keys;

    public static bool TryFind(string name, out int number) => s_numbers.TryGetValue(name, out number);

    public static string NameOf(int number) => s_numbers.First(pair => pair.Value == number).Key;
}
