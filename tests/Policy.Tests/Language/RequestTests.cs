using Sandbox.Policy.Language;
using Xunit;

namespace Sandbox.Policy.Tests;

/// <summary>Requests as people write them, and what they are told when they write something else.</summary>
public class RequestTests
{
    [Theory]
    [InlineData("open /b for read", "open /b for read")]
    [InlineData("open /a\t for read", "open /a\t for read")]
    [InlineData("  open /a for read", "open /a for read")]
    [InlineData("open /a  for read", "open /a  for read")]
    [InlineData("open ~/x for create", "open /home/alice/x for create")]
    [InlineData("connect tcp A.example.:443", "connect tcp a.example:443")]
    [InlineData("connect udp [::1]:53", "connect udp [::1]:53")]
    [InlineData("listen tcp 127.0.0.1:80", "listen tcp 127.0.0.1:80")]
    [InlineData("resolve A.example", "resolve a.example")]
    [InlineData("syscall openat 1 0x2", "syscall openat 0x1 0x2")]
    [InlineData("device block", "device block")]
    [InlineData("device block from /srv/a b.img", "device block from /srv/a b.img")]
    public void ARequestIsRead(string text, string meaning) => Assert.Equal(meaning, $"{Request.TryParse(text, "/home/alice", out _)}");

    [Theory]
    [InlineData("", "'' is not a request; write open PATH for ACCESS | ")]
    [InlineData("open /x", "'open /x' is not a request; write open PATH for ACCESS | ")]
    [InlineData("open for read", "'open for read' is not a request; write open PATH for ACCESS | ")]
    [InlineData("open  for read", "'open  for read' is not a request; write open PATH for ACCESS | ")]
    [InlineData("syscall openat 010", "a system call has up to six numbers as arguments; octal is not known here; write 0x8 or 8")]
    [InlineData("open /x for reading", "'reading' is not one of read, write, execute, create, delete")]
    [InlineData("connect tcp a.example", "'a.example' is not HOST:PORT; write [ADDRESS]:PORT for IPv6")]
    [InlineData("connect tcp *.example:443", "'*.example' is not a host name; a request is about one name")]
    [InlineData("connect tcp a_b:443", "'a_b' is not a host name")]
    [InlineData("listen tcp a.example:80", "'a.example' is not an address; a guest listens on addresses, as in 127.0.0.1:80")]
    [InlineData("resolve *.example", "'*.example' is not a host name; a request is about one name")]
    [InlineData("resolve 192.0.2.1", "'192.0.2.1' is not a host name")]
    [InlineData("syscall opennat", "there is no system call 'opennat'; did you mean openat?")]
    [InlineData("syscall @debug", "'@debug' is a group of system calls; ask about one of them")]
    [InlineData("syscall openat x", "a system call has up to six numbers as arguments")]
    [InlineData("device vsok", "'vsok' is not one of console, block, network, vsock, random, balloon")]
    [InlineData("device block from", "'device block from' is not a request; write open PATH for ACCESS | ")]
    public void AMistakeIsTold(string text, string problem)
    {
        Assert.Null(Request.TryParse(text, "/home/alice", out string told));
        Assert.StartsWith(problem, told, StringComparison.Ordinal);
    }
}
