using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Host.Tests;

public class HostExceptionTests
{
    [Fact]
    public void The_message_has_call_subject_error_and_advice()
    {
        var failure = new HostException(EACCES, "open", "/dev/kvm", "add your user to the kvm group");
        Assert.Equal(
            "open /dev/kvm: Permission denied (EACCES): add your user to the kvm group", failure.Message);
        Assert.Equal((EACCES, "open", "/dev/kvm"), (failure.Errno, failure.Call, failure.Subject));
    }

    [Fact]
    public void Subject_and_advice_are_optional() =>
        Assert.Equal("socketpair: Too many open files (EMFILE)", new HostException(EMFILE, "socketpair").Message);

    [Theory]
    [InlineData("a\nb")]
    [InlineData("a\r\nb")]
    [InlineData("\u001b[31mred")]
    [InlineData("next\u0085line")]
    [InlineData("para\u2029graph")]
    public void A_hostile_path_stays_on_one_plain_line(string path)
    {
        var message = new HostException(ENOENT, "open", path, path).Message;
        Assert.DoesNotContain(message, c => char.IsControl(c) || c is '\u2028' or '\u2029');
    }
}
