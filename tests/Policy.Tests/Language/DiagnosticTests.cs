using System.Text;
using Sandbox.Policy.Language;
using Xunit;

namespace Sandbox.Policy.Tests;

/// <summary>Every mistake is found where it is, named, and answered with advice.</summary>
public class DiagnosticTests
{
    const string Start = "version: 1\nfragment: true\n";

    [Theory]
    [InlineData("flies:\n  show: []", "unknown-key", 3, 1, "did you mean files?")]
    [InlineData("guest:\n  memry: 1G", "unknown-key", 4, 3, "did you mean memory?")]
    [InlineData("guest:\n  memory: 1G\n  memory: 2G", "duplicate-key", 5, 3, null)]
    [InlineData("guest: [a]", "wrong-type", 3, 8, null)]
    [InlineData("files:\n  show:", "wrong-type", 4, 8, null)]
    [InlineData("guest:\n  memory: lots", "bad-value", 4, 11, null)]
    [InlineData("guest:\n  memory: 1K", "bad-value", 4, 11, null)]
    [InlineData("guest:\n  memory: none", "bad-value", 4, 11, null)]
    [InlineData("guest:\n  cpus: 0", "bad-value", 4, 9, null)]
    [InlineData("guest:\n  time: 0s", "bad-value", 4, 9, null)]
    [InlineData("guest:\n  user: Me", "bad-value", 4, 9, null)]
    [InlineData("guest:\n  kind: procces", "bad-value", 4, 9, "did you mean process?")]
    [InlineData("guest:\n  hostname: -x", "bad-value", 4, 13, null)]
    [InlineData("devices:\n  - {device: network, operations: 0}", "bad-value", 4, 35, null)]
    [InlineData("devices:\n  - {device: network, rate: 0}", "bad-value", 4, 29, "leave the device out")]
    [InlineData("devices:\n  - {device: network, from: /dev/net/tun}", "bad-value", 4, 29, "name its TAP device with --tap")]
    [InlineData("guest: &a\n  memory: 1G", "anchor", 3, 8, "share it with extends")]
    [InlineData("guest: *a", "anchor", 3, 8, "share it with extends")]
    [InlineData("guest: !!map\n  memory: 1G", "anchor", 3, 8, null)]
    [InlineData("files:\n  show:\n    - path: data", "bad-value", 5, 13, null)]
    [InlineData("files:\n  show:\n    - path: /", "bad-value", 5, 13, null)]
    [InlineData("files:\n  show:\n    - path: /a/../b", "bad-value", 5, 13, null)]
    [InlineData("files:\n  show:\n    - deny: /work/*.key", "bad-value", 5, 13, "files.rules")]
    [InlineData("files:\n  show:\n    - deny: /work/**", "bad-value", 5, 13, "files.rules")]
    [InlineData("files:\n  show:\n    - deny: '/work/[ab]'", "bad-value", 5, 13, "files.rules")]
    [InlineData("files:\n  show:\n    - path: /work/\\a", "bad-value", 5, 13, "files.rules")]
    [InlineData("files:\n  show:\n    - {path: /d, operations: +5}", "bad-value", 5, 30, null)]
    [InlineData("files:\n  show:\n    - {path: /d, operations: ' 5'}", "bad-value", 5, 30, null)]
    [InlineData("files:\n  show:\n    - {path: /d, operations: 05}", "bad-value", 5, 30, null)]
    [InlineData("guest:\n  deny-environment: AWS_*", "bad-value", 4, 21, "name each variable")]
    [InlineData("guest:\n  deny-environment: [A, 1B]", "bad-value", 4, 25, "name each variable")]
    [InlineData("devices:\n  - {deny: block, from: /srv/*.img}", "bad-value", 4, 25, "leave from out")]
    [InlineData("network:\n  - {allow: resolve, to: '*'}", "bad-value", 4, 26, null)]
    [InlineData("network:\n  - {deny: connect, to: '*'}", "bad-value", 4, 25, null)]
    [InlineData("network:\n  - {allow: connect, to: a.example, port: 0080}", "bad-value", 4, 43, null)]
    [InlineData("syscalls:\n  - {deny: open, when: {argument: 1, as: int, is: ==, value: 04000}}", "bad-value", 4, 62, "0x800 or 2048")]
    [InlineData("syscalls:\n  - {deny: open, when: {argument: 1, as: int, is: ==, value: 09}}", "bad-value", 4, 62, "leave the first 0 out")]
    [InlineData("# a comment\r  - hidden: true", "syntax", 3, 12, "leave it out")]
    [InlineData("description: a\u202eb", "syntax", 3, 15, "leave it out")]
    [InlineData("description: a\u200bb", "syntax", 3, 15, "leave it out")]
    [InlineData("description: a\U000e0041b", "syntax", 3, 15, "leave it out")]
    [InlineData("files:\n  show:\n    - {path: /d, text: x, link: y}", "conflict", 5, 27, null)]
    [InlineData("files:\n  show:\n    - {path: /d, memory: false}", "bad-value", 5, 26, null)]
    [InlineData("files:\n  show:\n    - {path: /d, mode: \"999\", memory: true}", "bad-value", 5, 24, null)]
    [InlineData("files:\n  show:\n    - {path: /d, memory: true, size: 4095}", "bad-value", 5, 38, null)]
    [InlineData("files:\n  show:\n    - {path: /d, memory: true, size: much}", "bad-value", 5, 38, null)]
    [InlineData("files:\n  show:\n    - {path: /d, size: 1M, text: x}", "conflict", 5, 24, null)]
    [InlineData("files:\n  show:\n    - {path: /d, quota: 1M, memory: true}", "conflict", 5, 25, null)]
    [InlineData("files:\n  show:\n    - {path: /d, quota: 4095}", "bad-value", 5, 25, null)]
    [InlineData("files:\n  show:\n    - {path: /d, quota: all}", "bad-value", 5, 25, null)]
    [InlineData("devices:\n  - {device: random, operations: 5}", "conflict", 4, 34, "leave it out")]
    [InlineData("devices:\n  - {device: vsock, from: /a, rate: 5M}", "conflict", 4, 37, "leave it out")]
    [InlineData("devices:\n  - {device: virtio-console, rate: 5M}", "conflict", 4, 36, "leave it out")]
    [InlineData("devices:\n  - {device: network, writable: true}", "conflict", 4, 33, "leave it out")]
    [InlineData("devices:\n  - {device: balloon, from: /a}", "conflict", 4, 29, "leave it out")]
    [InlineData("devices:\n  - {device: block, from: /a, operations: 0}", "bad-value", 4, 43, null)]
    [InlineData("files:\n  show:\n    - {path: /d, operations: 5, memory: true}", "conflict", 5, 30, "leave it out")]
    [InlineData("files:\n  show:\n    - {path: /d, rate: 1M, memory: true}", "conflict", 5, 24, null)]
    [InlineData("files:\n  show:\n    - {path: /d, rate: 0}", "bad-value", 5, 24, null)]
    [InlineData("files:\n  show:\n    - {path: /proc/x, memory: true}", "bad-value", 5, 31, null)]
    [InlineData("files:\n  show:\n    - {path: /t, memory: true, access: [none, read]}", "conflict", 5, 41, null)]
    [InlineData("files:\n  show:\n    - {path: /t, text: x, access: write}", "conflict", 5, 35, null)]
    [InlineData("files:\n  show:\n    - path: /d\n    - path: /d", "conflict", 6, 7, "the other entry is at p.yaml:5:7")]
    [InlineData("files:\n  show:\n    - from: /d", "missing-key", 5, 7, null)]
    [InlineData("files:\n  rules:\n    - {allow: read, deny: write, path: /a}", "conflict", 5, 21, null)]
    [InlineData("files:\n  rules:\n    - {path: /a}", "missing-key", 5, 7, null)]
    [InlineData("files:\n  rules:\n    - {allow: raed, path: /a}", "bad-value", 5, 15, "did you mean read?")]
    [InlineData("files:\n  rules:\n    - {allow: [], path: /a}", "wrong-type", 5, 15, null)]
    [InlineData("files:\n  rules:\n    - {allow: read, path: '/a?'}", "bad-pattern", 5, 27, null)]
    [InlineData("files:\n  rules:\n    - {allow: read, path: /a**/b}", "bad-pattern", 5, 27, null)]
    [InlineData("files:\n  rules:\n    - {allow: read, path: /a/}", "bad-pattern", 5, 27, null)]
    [InlineData("files:\n  rules:\n    - {allow: read, path: ~bob/x}", "bad-pattern", 5, 27, null)]
    [InlineData("network:\n  - {allow: conect, to: a.example}", "bad-value", 4, 13, "did you mean connect?")]
    [InlineData("network:\n  - {allow: connect, to: 10.0.0.1/8}", "bad-value", 4, 26, null)]
    [InlineData("network:\n  - {allow: connect, to: '*.example.org'}", "bad-value", 4, 26, null)]
    [InlineData("network:\n  - {allow: connect, to: 127.1}", "bad-value", 4, 26, null)]
    [InlineData("network:\n  - {allow: connect, to: 0x7f000001}", "bad-value", 4, 26, null)]
    [InlineData("network:\n  - {allow: listen, to: a.example}", "bad-value", 4, 25, null)]
    [InlineData("network:\n  - {allow: resolve, to: a.example, port: 53}", "conflict", 4, 43, null)]
    [InlineData("network:\n  - {allow: connect, to: a.example, port: 90-80}", "bad-value", 4, 43, null)]
    [InlineData("network:\n  - {allow: connect, to: a.example, port: 65536}", "bad-value", 4, 43, null)]
    [InlineData("syscalls:\n  - allow: opn", "bad-value", 4, 12, "did you mean open?")]
    [InlineData("syscalls:\n  - {allow: open, answer: EPERM}", "conflict", 4, 27, null)]
    [InlineData("syscalls:\n  - {deny: open, answer: EPREM}", "bad-value", 4, 26, "did you mean EPERM?")]
    [InlineData("syscalls:\n  - {deny: open, when: {argument: 6, as: int, is: ==, value: 1}}", "bad-value", 4, 35, null)]
    [InlineData("syscalls:\n  - {deny: open, when: {argument: 0, as: int, is: ==, value: 0x100000000}}", "bad-value", 4, 62, null)]
    [InlineData("syscalls:\n  - {deny: open, when: {argument: 0, as: int, mask: 1, is: ==, value: 2}}", "impossible-rule", 4, 71, null)]
    [InlineData("isolation: [seccmp]", "bad-value", 3, 13, "did you mean seccomp?")]
    [InlineData("audit: {record: lifecycle, to: log, when-full: stop}", "bad-value", 3, 32, "begin it with /")]
    [InlineData("audit: {record: lifecycle, to: /log}", "missing-key", 3, 8, null)]
    [InlineData("extends: gone.yaml", "extends", 3, 10, null)]
    [InlineData("extends: p.yaml", "extends", 3, 10, null)]
    [InlineData("guest: {memory: 1G", "syntax", 4, 1, null)]
    [InlineData("---\nversion: 1", "syntax", 3, 1, null)]
    public void AMistakeIsFoundWhereItIs(string text, string kind, int line, int column, string? advice)
    {
        Diagnostics diagnostics = MemoryFiles.Check(Start + text + "\n");
        Diagnostic found = Assert.Single(diagnostics.List);
        Assert.Equal((kind, line, column), (found.Kind.Name, found.Span.Line, found.Span.Column));
        if (advice is not null)
            Assert.Contains(advice, found.Advice, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("description: a\r\n")]
    [InlineData("description: \"a\\u202eb\\U000e0041\\u200b\"\n")]
    [InlineData("files:\n  show:\n    - {deny: '/work/\\*\\[\\?\\\\', because: x}\n    - {path: '/a\\*', text: x, because: x}\n")]
    [InlineData("devices: [{deny: block, from: '/srv/\\*', because: x}]\n")]
    public void WhatIsWrittenOutIsReadBack(string text)
    {
        CompiledPolicy policy = MemoryFiles.Load(Start + text);
        CompiledPolicy again = MemoryFiles.Load(PolicyText.Write(policy.Model));
        Assert.True(PolicyComparer.Compare(policy, again).IsEqual);
        Assert.Equal(policy.Model.Description, again.Model.Description);
    }

    [Fact]
    public void ABackslashStandsForTheCharacterItself()
    {
        CompiledPolicy policy = MemoryFiles.Load(Start + "files: {show: [{path: '/a\\*', text: x}]}\n");
        Assert.Equal("/a*", policy.Model.Shown[0].Path);
        Assert.Equal(Sandbox.Policy.Contract.PathAccess.Read, policy.Paths.Allowed("/a*"u8));
    }

    [Fact]
    public void TheOffendingLineIsShownWithACaret()
    {
        var text = new StringBuilder();
        DiagnosticText.Write(text, MemoryFiles.Check(Start + "guest:\n  memry: 1G\n").List[0]);
        Assert.Equal(
            """
            p.yaml:4:3: error: guest has no key 'memry'; did you mean memory? [unknown-key]
                 4 |   memry: 1G
                   |   ^~~~~

            """, text.ToString());
    }

    [Fact]
    public void APolicyThatIsNoFragmentSetsEveryLimit()
    {
        Diagnostics diagnostics = MemoryFiles.Check("version: 1\n");
        Assert.Equal(8, diagnostics.List.Count);
        Assert.All(diagnostics.List, found => Assert.Equal("missing-key", found.Kind.Name));
    }

    [Theory]
    [InlineData("")]
    [InlineData("\ufeffversion: 1\n")]
    [InlineData("version: 1\n\0")]
    [InlineData("\t\t: :")]
    [InlineData("[[[[[[[[[[[[[[[[[[[[[[[[[[[[")]
    [InlineData("? [a]\n: b\n")]
    [InlineData("- &a [*a]")]
    [InlineData("%YAML 9.9\n---\nversion: 1")]
    [InlineData("42")]
    public void WhatIsNoPolicyIsRefused(string text) => Assert.True(MemoryFiles.Check(text).HasErrors);

    [Fact]
    public void AFileOfMoreThanAMebibyteIsRefused()
    {
        string rest = "version: 1\nfragment: true\ndescription: ";
        Assert.False(MemoryFiles.Check(rest + new string('x', (1 << 20) - rest.Length)).HasErrors);
        Assert.Equal("too-large", Assert.Single(MemoryFiles.Check(rest + new string('x', (1 << 20) - rest.Length + 1)).List).Kind.Name);
    }

    [Fact]
    public void MoreThanTenThousandRulesAreRefused()
    {
        static string Rules(int count) => Start + "network:\n" + string.Concat(
            Enumerable.Range(0, count).Select(i => $"  - {{allow: connect, to: 192.{i >> 16}.{(i >> 8) & 255}.{i & 255}}}\n"));
        Assert.False(MemoryFiles.Check(Rules(10_000)).HasErrors);
        Assert.Equal("too-large", Assert.Single(MemoryFiles.Check(Rules(10_001)).List).Kind.Name);
    }

    [Fact]
    public void EntangledPatternsAreRefusedSoon()
    {
        string pattern = "/**/*a/" + string.Concat(Enumerable.Repeat("*/", 30)) + "b";
        string rules = string.Concat(Enumerable.Range(0, 40).Select(i => $"    - {{deny: read, path: '{pattern}{i}'}}\n"));
        Assert.Equal("bad-pattern", Assert.Single(MemoryFiles.Check(Start + "files:\n  rules:\n" + rules).List).Kind.Name);
    }

    [Theory]
    [InlineData("? {#\no")]
    [InlineData("vefiles:\n{\r\no")]
    public void WhatTheScannerTripsOverIsASyntaxError(string text) =>
        Assert.Equal("syntax", Assert.Single(MemoryFiles.Check(text).List).Kind.Name);

    [Fact]
    public void FindingsAreBounded()
    {
        Diagnostics diagnostics = MemoryFiles.Check(Start + string.Concat(Enumerable.Range(0, 1000).Select(i => $"key{i}: 1\n")));
        Assert.Equal(Diagnostics.Maximum, diagnostics.List.Count);
        Assert.Equal(1000 - Diagnostics.Maximum, diagnostics.Dropped);
    }
}
