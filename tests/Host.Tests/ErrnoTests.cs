using System.Reflection;
using Xunit;

namespace Sandbox.Host.Tests;

public class ErrnoTests
{
    // Second names of numbers whose first name the table has.
    private static readonly string[] s_aliases = ["EWOULDBLOCK", "EDEADLOCK", "ENOTSUP"];

    [Fact]
    public void The_table_has_every_number_under_its_name()
    {
        var constants = typeof(Libc).GetFields(BindingFlags.Public | BindingFlags.Static)
            .Where(field => field.IsLiteral && Codes.Contains(field.Name))
            .ToDictionary(field => field.Name, field => (int)field.GetRawConstantValue()!);
        Assert.Equal(131, constants.Count);
        foreach (var (name, number) in constants)
        {
            Assert.Equal(name, Errno.Name(number));
            Assert.NotEqual("Unknown error", Errno.Description(number));
        }
    }

    [Theory]
    [InlineData(Libc.EWOULDBLOCK, "EAGAIN")]
    [InlineData(Libc.EDEADLOCK, "EDEADLK")]
    [InlineData(Libc.ENOTSUP, "EOPNOTSUPP")]
    [InlineData(41, "41")]
    [InlineData(134, "134")]
    [InlineData(-1, "-1")]
    [InlineData(int.MinValue, "-2147483648")]
    [InlineData(int.MaxValue, "2147483647")]
    public void Odd_numbers_have_a_name(int number, string name) => Assert.Equal(name, Errno.Name(number));

    [Fact]
    public void A_description_reads_like_strerror() =>
        Assert.Equal("Permission denied (EACCES)", Errno.Describe(Libc.EACCES));

    private static HashSet<string> Codes { get; } =
        [.. File.ReadLines(Path.Combine(Repository.Root, "src/Host/Libc/Errno.Constants.cs"))
            .Where(line => line.Contains("const int", StringComparison.Ordinal))
            .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[3])
            .Except(s_aliases)];
}
