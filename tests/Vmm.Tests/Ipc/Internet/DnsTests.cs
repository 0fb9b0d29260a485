using System.Buffers.Binary;
using System.Net;
using System.Text;
using Sandbox.Vmm.Personality.Ipc;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Ipc;

/// <summary>The guest's name server: what it makes of queries, good and bad, and what guests hear.</summary>
public sealed class DnsTests : IDisposable
{
    private const string Server = "127.0.0.53:53";

    private readonly InternetGuest _guest = new();

    public void Dispose() => _guest.Dispose();

    private static byte[] Name(string name) =>
        [.. name.Split('.').SelectMany(label => (byte[])[(byte)label.Length, .. Encoding.Latin1.GetBytes(label)]), 0];

    private static byte[] Query(string name, int type = 1, int id = 0x1234, int flags = 0x0100, int questions = 1, int dnsClass = 1) =>
        [
            (byte)(id >> 8), (byte)id, (byte)(flags >> 8), (byte)flags, 0, (byte)questions, 0, 0, 0, 0, 0, 0,
            .. Name(name), (byte)(type >> 8), (byte)type, (byte)(dnsClass >> 8), (byte)dnsClass,
        ];

    [Fact]
    public void A_query_is_read()
    {
        Assert.True(DnsQuestion.TryParse(Query("WWW.Example.org", 28), out DnsQuestion question, out _));
        Assert.Equal(("www.example.org", 28, 1, 0x1234, true), (question.Name, question.Type, question.Class, question.Id, question.WantsRecursion));
        Assert.True(question.IsHostName);
        Assert.Equal(Name("www.example.org").Length + 4, question.Length);
        // What EDNS adds behind the question is nobody's business here.
        Assert.True(DnsQuestion.TryParse([.. Query("a.b"), 0, 0, 41, 5, 0, 0, 0, 0, 0, 0, 0], out question, out _));
        Assert.Equal("a.b", question.Name);
    }

    public static TheoryData<byte[], int> Bad
    {
        get
        {
            byte[] good = Query("a.example");
            var data = new TheoryData<byte[], int>();
            for (int length = 0; length < good.Length; length++)
                data.Add(good[..length], length < DnsQuestion.HeaderSize ? -1 : DnsAnswer.FormatError);
            data.Add(Query("a", flags: 0x8000), -1);
            data.Add(Query("a", flags: 0x0800), DnsAnswer.NotImplemented);
            data.Add(Query("a", flags: 0x7800), DnsAnswer.NotImplemented);
            data.Add(Query("a", questions: 0), DnsAnswer.FormatError);
            data.Add(Query("a", questions: 2), DnsAnswer.FormatError);
            data.Add([.. good, .. new byte[DnsQuestion.MaximumQuery]], DnsAnswer.FormatError);
            // A pointer to itself, one to the header, and one beyond the end.
            data.Add([.. good[..12], 0xc0, 12, 0, 1, 0, 1], DnsAnswer.FormatError);
            data.Add([.. good[..12], 1, (byte)'a', 0xc0, 0, 0, 1, 0, 1], DnsAnswer.FormatError);
            data.Add([.. good[..12], 0xff, 0xff, 0, 1, 0, 1], DnsAnswer.FormatError);
            // Labels and names that are too long, or end nowhere.
            data.Add([.. good[..12], 64, .. new byte[64], 0, 0, 1, 0, 1], DnsAnswer.FormatError);
            data.Add(Query(string.Join('.', Enumerable.Repeat(new string('a', 63), 4))), DnsAnswer.FormatError);
            data.Add([.. good[..12], 63, .. Encoding.ASCII.GetBytes(new string('a', 62))], DnsAnswer.FormatError);
            // A dot inside of a label, and bytes that no name has.
            data.Add([.. good[..12], 3, (byte)'a', (byte)'.', (byte)'b', 0, 0, 1, 0, 1], DnsAnswer.FormatError);
            data.Add([.. good[..12], 1, 0, 0, 0, 1, 0, 1], DnsAnswer.FormatError);
            data.Add([.. good[..12], 1, 0xe4, 0, 0, 1, 0, 1], DnsAnswer.FormatError);
            return data;
        }
    }

    [Theory, MemberData(nameof(Bad))]
    public void What_is_no_query_is_refused_or_not_answered(byte[] bytes, int code)
    {
        Assert.False(DnsQuestion.TryParse(bytes, out _, out int found));
        Assert.Equal(code, found);
        byte[] answer = new byte[DnsAnswer.MaximumSize];
        Assert.Null(DnsLookup.Begin(bytes, answer, out int length));
        Assert.Equal(code < 0 ? 0 : DnsQuestion.HeaderSize, length);
        if (code >= 0)
            Assert.Equal(code, answer[3] & 15);
    }

    [Theory]
    [InlineData("a.example", true)]
    [InlineData("_sip._tcp.a.example", true)]
    [InlineData("localhost", true)]
    [InlineData("1.2.3.4", false)]
    [InlineData("a.4", false)]
    [InlineData("a.0x7f", false)]
    [InlineData("a.-b", false)]
    [InlineData("a!b", false)]
    [InlineData("a/b.c", false)]
    public void Only_host_names_are_asked_for(string name, bool isHost)
    {
        Assert.True(DnsQuestion.TryParse(Query(name), out DnsQuestion question, out _));
        Assert.Equal(isHost, question.IsHostName);
        byte[] answer = new byte[DnsAnswer.MaximumSize];
        Assert.Equal(isHost, DnsLookup.Begin(Query(name), answer, out int length) is not null);
        if (!isHost)
            Assert.Equal((DnsAnswer.Refused, Query(name).Length), (answer[3] & 15, length));
    }

    [Fact]
    public void The_longest_name_and_all_addresses_fit()
    {
        string name = string.Join('.', [.. Enumerable.Repeat(new string('a', 63), 3), new string('b', 61)]);
        Assert.Equal(253, name.Length);
        byte[] answer = new byte[DnsAnswer.MaximumSize];
        DnsLookup lookup = DnsLookup.Begin(Query(name, 28), answer, out _)!;
        byte[] addresses = new byte[16 * 16];
        int whole = lookup.Finish(0, addresses, answer, DnsAnswer.MaximumSize);
        Assert.Equal(16, BinaryPrimitives.ReadUInt16BigEndian(answer.AsSpan(6)));
        Assert.Equal(0, answer[2] & 2);
        int cut = lookup.Finish(0, addresses, answer, DnsAnswer.DatagramSize);
        Assert.True(cut <= DnsAnswer.DatagramSize && cut < whole);
        Assert.Equal(2, answer[2] & 2);
        Assert.Equal((cut - 12 - 255 - 4) / 28, BinaryPrimitives.ReadUInt16BigEndian(answer.AsSpan(6)));
    }

    private string Ask(ulong socket, byte[] query)
    {
        (ulong pointer, ulong length) = _guest.Put(Server);
        _guest.Guest.Write(InternetGuest.Data, query);
        Assert.Equal(query.Length, _guest.Call(SYS_sendto, socket, InternetGuest.Data, (ulong)query.Length, 0, pointer, length));
        long count = _guest.Call(SYS_recvfrom, socket, InternetGuest.Data, 1024);
        return Text(_guest.Guest.Read(InternetGuest.Data, (int)count));
    }

    private static string Text(byte[] answer)
    {
        Assert.Equal(0x1234, BinaryPrimitives.ReadUInt16BigEndian(answer));
        Assert.Equal(0x81, answer[2] & 0xfd);
        int count = BinaryPrimitives.ReadUInt16BigEndian(answer.AsSpan(6));
        string text = $"{answer[3] & 15}";
        int at = answer.Length;
        var addresses = new List<string>();
        for (int i = 0; i < count; i++)
        {
            int size = answer[at - 4 - 1] == 4 && answer[at - 4 - 2] == 0 && answer[at - 4 - 12] == 0xc0 ? 4 : 16;
            addresses.Insert(0, new IPAddress(answer.AsSpan(at - size, size)).ToString());
            at -= 12 + size;
        }
        return string.Join(' ', [text, .. addresses]);
    }

    [Fact]
    public void A_guest_asks_for_names()
    {
        _guest.Broker.Names = name => name switch
        {
            "a.example" => (0, ["192.0.2.1", "2001:db8::1", "192.0.2.2"]),
            "denied.example" => (EACCES, []),
            "slow.example" => (EAGAIN, []),
            _ => (ENOENT, []),
        };
        ulong socket = _guest.Socket(SOCK_DGRAM);
        Assert.Equal("0 192.0.2.1 192.0.2.2", Ask(socket, Query("A.Example")));
        Assert.Equal("0 2001:db8::1", Ask(socket, Query("a.example", 28)));
        Assert.Equal("0", Ask(socket, Query("a.example", 15)));
        Assert.Equal("5", Ask(socket, Query("denied.example")));
        Assert.Equal("2", Ask(socket, Query("slow.example")));
        Assert.Equal("3", Ask(socket, Query("none.example")));
        Assert.Equal("5", Ask(socket, Query("1.2.3.4")));
        Assert.Equal("5", Ask(socket, Query("a.example", dnsClass: 3)));
        Assert.Equal(
            ["a.example", "a.example", "a.example", "denied.example", "slow.example", "none.example"],
            _guest.Broker.Asked.Select(asked => asked.Split(' ')[1]));
    }

    [Fact]
    public void Over_a_connection_too()
    {
        _guest.Broker.Names = _ => (0, ["192.0.2.1"]);
        ulong socket = _guest.Socket(SOCK_STREAM);
        Assert.Equal(0, _guest.Connect(socket, Server));
        byte[] query = Query("a.example");
        // Two queries, in pieces that end anywhere.
        byte[] bytes = [0, (byte)query.Length, .. query, 0, (byte)query.Length, .. query];
        foreach (Range piece in (Range[])[0..1, 1..9, 9..(query.Length + 3), (query.Length + 3)..])
        {
            _guest.Guest.Write(InternetGuest.Data, bytes[piece]);
            Assert.Equal(bytes[piece].Length, _guest.Call(SYS_write, socket, InternetGuest.Data, (ulong)bytes[piece].Length));
        }
        for (int i = 0; i < 2; i++)
        {
            Assert.Equal(2, _guest.Call(SYS_recvfrom, socket, InternetGuest.Data, 2, MSG_WAITALL));
            ulong length = BinaryPrimitives.ReverseEndianness(_guest.Guest.Read<ushort>(InternetGuest.Data));
            Assert.Equal((long)length, _guest.Call(SYS_recvfrom, socket, InternetGuest.Data, length, MSG_WAITALL));
            Assert.Equal("0 192.0.2.1", Text(_guest.Guest.Read(InternetGuest.Data, (int)length)));
        }
        // A length that no query has ends the connection.
        _guest.Guest.Write(InternetGuest.Data, (ushort)0xffff);
        Assert.Equal(2, _guest.Call(SYS_write, socket, InternetGuest.Data, 2));
        Assert.Equal("", _guest.Receive(socket));
    }

    [Fact]
    public void More_connections_than_it_takes_are_closed()
    {
        for (int i = 0; i < 16; i++)
            Assert.Equal(0, _guest.Connect(_guest.Socket(SOCK_STREAM), Server));
        ulong more = _guest.Socket(SOCK_STREAM);
        Assert.Equal(0, _guest.Connect(more, Server));
        Assert.Equal("", _guest.Receive(more));
    }

    private ulong AskOften(int times)
    {
        ulong socket = _guest.Socket(SOCK_DGRAM);
        byte[] query = Query("a.example");
        (ulong pointer, ulong length) = _guest.Put(Server);
        _guest.Guest.Write(InternetGuest.Data, query);
        for (int i = 0; i < times; i++)
            Assert.Equal(query.Length, _guest.Call(SYS_sendto, socket, InternetGuest.Data, (ulong)query.Length, 0, pointer, length));
        return socket;
    }

    private void Expect(ulong socket, int times, string answer)
    {
        for (int i = 0; i < times; i++)
        {
            long count = _guest.Call(SYS_recvfrom, socket, InternetGuest.Data, 1024);
            Assert.Equal(answer, Text(_guest.Guest.Read(InternetGuest.Data, (int)count)));
        }
    }

    /// <summary>More queries than may be asked at once take turns.</summary>
    [Fact]
    public void Many_queries_at_once_are_all_answered()
    {
        _guest.Broker.Names = _ => (0, ["192.0.2.1"]);
        _guest.Broker.MayAnswer.Reset();
        ulong socket = AskOften(100);
        _guest.Broker.MayAnswer.Set();
        Expect(socket, 100, "0 192.0.2.1");
    }

    [Fact]
    public void Queries_wait_in_a_bounded_queue_and_not_for_ever()
    {
        _guest.Broker.Names = _ => (0, ["192.0.2.1"]);
        _guest.Broker.MayAnswer.Reset();
        ulong socket = AskOften(300);
        // 16 are asked, 256 wait.
        Expect(socket, 300 - 16 - 256, "2");
        Assert.Equal(0, _guest.Poll(socket, POLLIN, 200));
        Expect(socket, 256, "2");
        _guest.Broker.MayAnswer.Set();
        Expect(socket, 16, "0 192.0.2.1");
        Assert.Equal("0 192.0.2.1", Ask(socket, Query("a.example")));
    }

    /// <summary>The thread that answers is none of the guest's, and works for it alone.</summary>
    [Fact]
    public void What_the_answers_cost_is_the_guests_CPU_time()
    {
        long before = _guest.Guest.Personality.CpuNanoseconds;
        ulong socket = AskOften(200);
        Expect(socket, 200, "3");
        Assert.InRange(_guest.Guest.Personality.CpuNanoseconds - before, 200_000, 20_000_000_000);
    }
}
