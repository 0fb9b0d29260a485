using Sandbox.EndToEnd.Harness;

namespace Sandbox.EndToEnd.Network;

/// <summary>What a policy allows of the network can be reached, and nothing else: in real guests, from real servers.</summary>
public sealed class NetworkTests
{
    const string OneHost = """
        network:
          - {allow: connect, to: files.example, protocol: tcp, port: 8000, because: a test}
        """;

    [Theory]
    [InlineData("python3", "-c", "import urllib.request as u; print(u.urlopen('http://files.example:8000/x').read().decode(), end='')")]
    [InlineData("wget", "-qO-", "http://files.example:8000/x")]
    [InlineData("curl", "-sS", "http://files.example:8000/x")]
    public void One_host_is_fetched_from(params string[] command)
    {
        Tool.Need(command[0]);
        (Outcome outcome, string[] reached) = NetworkSpace.Run(OneHost, command);
        Assert.Equal(string.Concat(Enumerable.Repeat("file from 8000\n", 1000)), outcome.Ended(0).Text);
        Assert.Equal(["tcp 192.0.2.10 8000"], reached);
    }

    /// <summary>The thread that waits for sockets is there although no stream needs it.</summary>
    [Fact]
    public void A_host_is_fetched_from_also_when_all_streams_are_files()
    {
        const string program = "import urllib.request as u; print(u.urlopen('http://files.example:8000/x').read().decode(), end='')";
        (Outcome outcome, _) = NetworkSpace.Run(OneHost, ["python3", "-c", program], withFiles: true);
        Assert.Equal(string.Concat(Enumerable.Repeat("file from 8000\n", 1000)), outcome.Ended(0).Text);
    }

    [Fact]
    public void Nothing_else_is_reached()
    {
        (Outcome outcome, string[] reached) = NetworkSpace.Python(OneHost, """
            for address, port in [("192.0.2.10", 8001), ("192.0.2.11", 8000), ("10.9.9.9", 8000), ("169.254.169.254", 8000),
                                  ("198.51.100.1", 8000), ("255.255.255.255", 8000), ("224.0.0.1", 8000)]:
                s = socket.socket()
                attempt(f"{address}:{port}", lambda: s.connect((address, port)))
            attempt("host's loopback", lambda: socket.socket().connect(("127.0.0.1", 8000)))
            attempt("no address", lambda: socket.socket().connect(("0.0.0.0", 8000)))
            attempt("in IPv6 dress", lambda: socket.socket(socket.AF_INET6).connect(("::ffff:10.9.9.9", 8000)))
            attempt("IPv6", lambda: socket.socket(socket.AF_INET6).connect(("2001:db8::10", 8000)))
            u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            attempt("datagram", lambda: u.sendto(b"x", ("192.0.2.10", 9000)))
            attempt("datagram to the stream's port", lambda: u.sendto(b"x", ("192.0.2.10", 8000)))
            attempt("connected datagram", lambda: u.connect(("192.0.2.10", 9000)))
            u.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            attempt("broadcast", lambda: u.sendto(b"x", ("255.255.255.255", 9000)))
            attempt("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
            attempt("netlink", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
            attempt("packets", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
            """);
        Assert.Equal("""
            192.0.2.10:8001 EACCES
            192.0.2.11:8000 EACCES
            10.9.9.9:8000 EACCES
            169.254.169.254:8000 EACCES
            198.51.100.1:8000 EACCES
            255.255.255.255:8000 EACCES
            224.0.0.1:8000 EACCES
            host's loopback ECONNREFUSED
            no address ECONNREFUSED
            in IPv6 dress EACCES
            IPv6 EACCES
            datagram EACCES
            datagram to the stream's port EACCES
            connected datagram EACCES
            broadcast EACCES
            raw EPERM
            netlink EAFNOSUPPORT
            packets EAFNOSUPPORT

            """, outcome.Ended(0).Text);
        Assert.Empty(reached);
    }

    [Fact]
    public void Without_a_rule_there_are_no_sockets()
    {
        (Outcome outcome, string[] reached) = NetworkSpace.Python("", """
            attempt("tcp", lambda: socket.socket())
            attempt("udp", lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
            print(os.path.exists("/etc/resolv.conf"), "dns" in open("/etc/nsswitch.conf").read())
            """);
        Assert.Equal("tcp EAFNOSUPPORT\nudp EAFNOSUPPORT\nFalse False\n", outcome.Ended(0).Text);
        Assert.Empty(reached);
    }

    /// <summary>The name leads elsewhere after the start: the guest neither goes there nor can.</summary>
    [Fact]
    public void A_name_that_is_rebound_changes_nothing()
    {
        (Outcome outcome, string[] reached) = NetworkSpace.Python("""
            network:
              - {allow: connect, to: files.example, protocol: tcp, port: 8000, because: a test}
              - {allow: resolve, to: files.example, because: a test}
            """, """
            ask("move files.example 192.0.2.11")
            while not os.path.exists("/world/moved"): time.sleep(0.01)
            attempt("by name", lambda: socket.create_connection(("files.example", 8000)).sendall(b"x"))
            attempt("the new address", lambda: socket.socket().connect(("192.0.2.11", 8000)))
            def dns(name):
                u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                u.connect(("127.0.0.53", 53))
                u.send(b"\0\1\1\0\0\1\0\0\0\0\0\0" + b"".join(bytes([len(l)]) + l.encode() for l in name.split(".")) + b"\0\0\1\0\1")
                return u.recv(512)[-4:]
            attempt("by DNS", lambda: ".".join(str(b) for b in dns("files.example")))
            time.sleep(0.2)
            """);
        Assert.Equal("by name None\nthe new address EACCES\nby DNS 192.0.2.10\n", outcome.Ended(0).Text);
        Assert.Equal(["tcp 192.0.2.10 8000"], reached);
    }

    [Fact]
    public void Names_are_resolved_as_far_as_rules_allow()
    {
        (Outcome outcome, _) = NetworkSpace.Python("""
            network:
              - {allow: resolve, to: "*.other.example", because: a test}
              - {deny: resolve, to: secret.other.example, because: a test}
            """, """
            for name in ["a.other.example", "b.other.example", "B.Other.Example", "none.other.example", "secret.other.example", "files.example"]:
                try: print(name, socket.gethostbyname(name))
                except socket.gaierror as e: print(name, {socket.EAI_AGAIN: "refused", socket.EAI_NONAME: "no such name"}[e.args[0]])
            def exchange(data):
                s = socket.create_connection(("127.0.0.53", 53))
                s.sendall(len(data).to_bytes(2, "big") + data)
                length = int.from_bytes(s.recv(2, socket.MSG_WAITALL), "big")
                return s.recv(length, socket.MSG_WAITALL)
            answer = exchange(b"\x12\x34\1\0\0\1\0\0\0\0\0\0\1b\5other\7example\0\0\1\0\1")
            print("over TCP", answer[:2].hex(), answer[3] & 15, answer[-4:].hex())
            attempt("resolving gives no right to connect", lambda: socket.socket().connect(("192.0.2.11", 8000)))
            """);
        Assert.Equal("""
            a.other.example 192.0.2.11
            b.other.example 192.0.2.11
            B.Other.Example 192.0.2.11
            none.other.example no such name
            secret.other.example refused
            files.example refused
            over TCP 1234 0 c000020b
            resolving gives no right to connect EACCES

            """, outcome.Ended(0).Text);
    }

    [Fact]
    public void Datagrams_reach_the_allowed_destinations()
    {
        (Outcome outcome, string[] reached) = NetworkSpace.Python("""
            network:
              - {allow: connect, to: [192.0.2.10, 192.0.2.11], protocol: udp, port: 9000, because: a test}
            """, """
            u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            u.settimeout(10)
            for address in ["192.0.2.10", "192.0.2.11", "192.0.2.10"]:
                u.sendto(address.encode(), (address, 9000))
                print(u.recvfrom(100))
            c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            c.settimeout(10)
            c.connect(("192.0.2.10", 9000))
            c.send(b"connected")
            print(c.recv(100), c.getpeername())
            c.send(b"cut short")
            print(c.recv(6), c.gettimeout())
            attempt("another port", lambda: u.sendto(b"x", ("192.0.2.10", 9001)))
            attempt("a stream", lambda: socket.socket().connect(("192.0.2.10", 9000)))
            """);
        Assert.Equal("""
            (b'echo 192.0.2.10', ('192.0.2.10', 9000))
            (b'echo 192.0.2.11', ('192.0.2.11', 9000))
            (b'echo 192.0.2.10', ('192.0.2.10', 9000))
            b'echo connected' ('192.0.2.10', 9000)
            b'echo c' 10.0
            another port EACCES
            a stream EACCES

            """, outcome.Ended(0).Text);
        Assert.Equal(Enumerable.Repeat("udp 9000", 5), reached);
    }

    [Fact]
    public void A_guest_listens_where_rules_allow_it()
    {
        (Outcome outcome, string[] reached) = NetworkSpace.Python("""
            network:
              - {allow: listen, to: 192.0.2.10, protocol: tcp, port: 8100, because: a test}
              - {allow: listen, to: 192.0.2.10, protocol: udp, port: 9100, because: a test}
              - {allow: connect, to: 192.0.2.10, protocol: udp, because: answers}
            """, """
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("192.0.2.10", 8100))
            s.listen()
            ask("visit 8100")
            c, peer = s.accept()
            print(c.recv(100), peer[0], s.getsockname(), c.getsockname())
            c.sendall(b"welcome")
            c.close()
            u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            u.bind(("192.0.2.10", 9100))
            ask("datagram 9100")
            data, sender = u.recvfrom(100)
            print(data, sender[0])
            u.sendto(b"answered", sender)
            time.sleep(0.5)
            for kind, address in [(socket.SOCK_STREAM, ("192.0.2.10", 8101)), (socket.SOCK_STREAM, ("192.0.2.11", 8100)),
                                  (socket.SOCK_STREAM, ("0.0.0.0", 8100)), (socket.SOCK_DGRAM, ("192.0.2.10", 8100))]:
                attempt(f"{kind.name} {address}", lambda: socket.socket(socket.AF_INET, kind).bind(address))
            attempt("taken outside", lambda: socket.socket().bind(("192.0.2.10", 8100)))
            """);
        Assert.Equal("""
            b'hello from outside\n' 192.0.2.10 ('192.0.2.10', 8100) ('192.0.2.10', 8100)
            b'datagram from outside' 192.0.2.10
            SOCK_STREAM ('192.0.2.10', 8101) EACCES
            SOCK_STREAM ('192.0.2.11', 8100) EACCES
            SOCK_STREAM ('0.0.0.0', 8100) EADDRINUSE
            SOCK_DGRAM ('192.0.2.10', 8100) EACCES
            taken outside EADDRINUSE

            """, outcome.Ended(0).Text);
        Assert.Equal(["guest said answered", "guest said welcome"], reached.Order());
    }

    [Fact]
    public void The_guests_own_loopback_is_its_own()
    {
        (Outcome outcome, string[] reached) = NetworkSpace.Python(OneHost, """
            import asyncio, threading
            async def serve():
                async def echo(reader, writer):
                    writer.write(await reader.readline())
                    await writer.drain()
                    writer.close()
                server = await asyncio.start_server(echo, "127.0.0.1", 0)
                port = server.sockets[0].getsockname()[1]
                reader, writer = await asyncio.open_connection("localhost", port)
                writer.write(b"through asyncio\n")
                print(await reader.readline(), await reader.read())
                writer.close()
                server.close()
            asyncio.run(serve())
            s = socket.create_server(("127.0.0.1", 8000))
            if os.fork() == 0:
                c = socket.create_connection(("localhost", 8000))
                c.sendall(b"x" * 1000000)
                os._exit(0)
            c, _ = s.accept()
            total = 0
            while data := c.recv(65536): total += len(data)
            os.wait()
            print("between processes", total)
            from multiprocessing.connection import Listener, Client
            listener = Listener(("127.0.0.1", 0))
            threading.Thread(target=lambda: Client(listener.address).send([1, 2, 3])).start()
            print(listener.accept().recv())
            """);
        Assert.Equal("b'through asyncio\\n' b''\nbetween processes 1000000\n[1, 2, 3]\n", outcome.Ended(0).Text);
        Assert.Empty(reached);
    }

    /// <summary>A rule that names the host's loopback opens it, where no program of the guest listens itself.</summary>
    [Fact]
    public void The_hosts_loopback_is_reached_where_it_is_named()
    {
        (Outcome outcome, string[] reached) = NetworkSpace.Python("""
            network:
              - {allow: connect, to: 127.0.0.1, protocol: tcp, port: 8000, because: a test}
            """, """
            def talk(port):
                s = socket.create_connection(("127.0.0.1", port))
                s.sendall(b"hello")
                return s.recv(100)
            attempt("the host's", lambda: talk(8000))
            attempt("another port", lambda: talk(8001))
            import threading
            own = socket.create_server(("127.0.0.1", 8000))
            def answer():
                c, _ = own.accept()
                c.recv(100)
                c.sendall(b"the guest's own")
            threading.Thread(target=answer).start()
            attempt("the guest's", lambda: talk(8000))
            """);
        Assert.Equal(
            "the host's b'hello'\nanother port ECONNREFUSED\nthe guest's b\"the guest's own\"\n", outcome.Ended(0).Text);
        Assert.Equal(["tcp 127.0.0.1 8000"], reached);
    }

    [Fact]
    public void IPv6_is_reached_and_connections_do_not_block_who_asks_so()
    {
        (Outcome outcome, string[] reached) = NetworkSpace.Python("""
            network:
              - {allow: connect, to: [six.example, files.example], protocol: tcp, port: 8000, because: a test}
              - {allow: connect, to: 192.0.2.10, protocol: tcp, port: 8002, because: nobody listens there}
            """, """
            import select
            s = socket.create_connection(("six.example", 8000))
            s.sendall(b"over six")
            print(s.recv(100), s.getpeername())
            s = socket.socket(socket.AF_INET6)
            s.connect(("::ffff:192.0.2.10", 8000))
            print(s.getpeername()[:2])
            for port in (8000, 8002):
                n = socket.socket()
                n.setblocking(False)
                n.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                code = n.connect_ex(("192.0.2.10", port))
                p = select.epoll()
                p.register(n, select.EPOLLOUT)
                print(errno.errorcode.get(code, code) in (0, "EINPROGRESS", "ECONNREFUSED"), bool(p.poll(10)),
                      errno.errorcode.get(n.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or code, ""))
            attempt("refused", lambda: socket.socket().connect(("192.0.2.10", 8002)))
            """);
        string text = outcome.Ended(0).Text;
        Assert.StartsWith("b'over six' ('2001:db8::10', 8000, 0, 0)\n('::ffff:192.0.2.10', 8000)\nTrue True ", text);
        Assert.EndsWith("\nTrue True ECONNREFUSED\nrefused ECONNREFUSED\n", text);
        Assert.Contains("tcp 2001:db8::10 8000", reached);
    }

    [Fact]
    public void The_ready_made_policy_runs()
    {
        string policy = File.ReadAllText(Path.Combine(Ring.Repository, "policies", "fetch-one-host.yaml"))
            .Replace("extends: base.yaml", "extends: builtin:base.yaml");
        (Outcome outcome, string[] reached) = NetworkSpace.Python(policy, """
            s = socket.create_connection(("deb.debian.org", 443))
            s.sendall(b"hello")
            print(s.recv(100))
            attempt("another port", lambda: socket.create_connection(("deb.debian.org", 8000)))
            """);
        Assert.Equal("b'hello'\nanother port EACCES\n", outcome.Ended(0).Text);
        Assert.Equal(["tcp 192.0.2.10 443"], reached);
    }

    [Theory]
    [InlineData("nowhere.example", "has no address now")]
    [InlineData("inside.example", "only addresses that are reserved or denied (10.9.9.9)")]
    public void A_name_that_cannot_be_pinned_refuses_the_start(string name, string reason)
    {
        (Outcome outcome, _) = NetworkSpace.Python(
            "network:\n  - {allow: connect, to: " + name + ", because: a test}\n", "print('ran')");
        outcome.Ended(125).Says("policy.yaml:5:", name, reason);
        Assert.Empty(outcome.Text);
    }
}
