using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Vmm.Personality.Files;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Files;

/// <summary>
/// One thread of a guest acts on a name while another renames it: what happens is what the rules were asked about, and
/// no other file is met.
/// </summary>
public sealed class NameRaceTests
{
    private const string Policy = """
        version: 1
        fragment: true
        files:
          show:
            - {path: /work, memory: true, mode: "1777"}
          rules:
            - {deny: read, path: "/work/**/*.key"}
            - {deny: [write, delete], path: /work/bystander}
        """;

    private static readonly TimeSpan Duration = TimeSpan.FromSeconds(1);

    /// <summary>The tree that a test is about: in memory, on the host, on the host with a size limit.</summary>
    public static TheoryData<string> Kinds => ["memory", "host", "quota"];

    private static GuestTree Tree(string kind) => new(
        Rules(), 4 << 20,
        kind == "memory" ? _ => GuestTree.Temporary("/work", 0x1ff)
            : GuestTree.Grant("work", "/work", writable: true, quota: kind == "quota" ? 1ul << 30 : 0));

    private static PathRules Rules()
    {
        Diagnostics diagnostics = new();
        CompiledPolicy? policy = CompiledPolicy.Load(new SourceText("p", Policy), new NoFiles(), diagnostics);
        Assert.Empty(diagnostics.List);
        return policy!.Paths;
    }

    private sealed class NoFiles : IPolicyFiles
    {
        public SourceText? Read(string name, out string problem) => throw new NotSupportedException(problem = name);
    }

    /// <summary>Both again and again, side by side, for a while.</summary>
    private static async Task Race(Action one, Action other)
    {
        using CancellationTokenSource stop = new(Duration);
        Task beside = Task.Run(() => Repeat(other, stop.Token), TestContext.Current.CancellationToken);
        Repeat(one, stop.Token);
        await beside;

        static void Repeat(Action action, CancellationToken stop)
        {
            while (!stop.IsCancellationRequested)
                action();
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task A_link_is_made_to_the_file_that_was_asked_about(string kind)
    {
        using GuestTree tree = Tree(kind);
        Assert.Equal(0, tree.MakeDirectory("/work/sub"));
        tree.Write("/work/id.key", "secret");
        ulong secret = tree.Status("/work/id.key").Number;
        int links = 0;
        await Race(Link, () =>
        {
            tree.Try("/work/a", O_CREAT | O_WRONLY);
            tree.Rename("/work/a", "/work/sub/id.key");
        });
        Assert.True(links > 0);

        void Link()
        {
            if (tree.Link("/work/a", "/work/out") != 0)
                return;
            links++;
            Assert.NotEqual(secret, tree.Status("/work/out").Number);
            Assert.Equal(0, tree.Unlink("/work/out"));
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task A_name_is_removed_or_renamed_and_not_both(string kind)
    {
        using GuestTree tree = Tree(kind);
        int renamed = 0, removed = 0;
        await Race(Rename, () => removed += tree.Unlink("/work/x.tmp") == 0 ? 1 : 0);
        Assert.True(renamed > 0 && removed > 0, $"{renamed} renamed, {removed} removed");

        void Rename()
        {
            tree.Try("/work/x.tmp", O_CREAT | O_WRONLY);
            if (tree.Rename("/work/x.tmp", "/work/x") != 0)
                return;
            renamed++;
            Assert.Equal(0, tree.Resolve("/work/x"));
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task A_bystander_keeps_its_mode_and_its_times_and_its_name(string kind)
    {
        using GuestTree tree = Tree(kind);
        Assert.Equal(0, tree.MakeDirectory("/work/sub"));
        Assert.Equal(0, tree.Try("/work/bystander", O_CREAT | O_RDONLY));
        InodeStatus before = tree.Status("/work/bystander");
        timespec time = new() { tv_sec = 1 };
        int changed = 0;
        await Race(Change, () =>
        {
            tree.Try("/work/a", O_CREAT | O_WRONLY);
            tree.Rename("/work/a", "/work/sub/bystander");
        });
        Assert.True(changed > 0);
        InodeStatus after = tree.Status("/work/bystander");
        Assert.Equal((before.Number, before.Mode, before.ModifyTime.tv_sec), (after.Number, after.Mode, after.ModifyTime.tv_sec));

        void Change()
        {
            if (tree.Resolve("/work/a", out Dentry? target) != 0)
                return;
            if (VirtualFileSystem.ChangeMode(tree.Caller, target!, null, 0x180) == 0)
                changed++;
            VirtualFileSystem.ChangeTimes(tree.Caller, target!, null, time, time, false);
            tree.Unlink("/work/a");
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task A_file_that_is_replaced_is_there_or_the_path_is_to_be_walked_again(string kind)
    {
        using GuestTree tree = Tree(kind);
        tree.Write("/work/x", "x");
        int opened = 0, again = 0;
        await Race(Open, () =>
        {
            tree.Write("/work/x.new", "x");
            Assert.Equal(0, tree.Rename("/work/x.new", "/work/x"));
        });
        Assert.True(opened > 0, $"{opened} opened, {again} again");

        void Open()
        {
            long result = tree.Try("/work/x", O_RDONLY);
            InodeStatus status = default;
            if (result == 0)
                result = tree.Resolve("/work/x", out Dentry? found) is < 0 and long missed
                    ? missed
                    : found!.Inode.GetStatus(found, out status);
            Assert.True(result == -ESTALE || (result == 0 && status.Size == 1), $"{result}, {status.Size}");
            _ = result == 0 ? opened++ : again++;
        }
    }

    [Fact]
    public async Task Half_of_one_place_and_half_of_another_is_none()
    {
        using GuestTree tree = Tree("memory");
        Assert.Equal(0, tree.MakeDirectory("/work/src"));
        Assert.Equal(0, tree.MakeDirectory("/work/bin"));
        tree.Write("/work/src/run", "x");
        Dentry moved = tree.Find("/work/src/run");
        string[] places = ["/work/src/run", "/work/bin/other"];
        await Race(
            () => Assert.Contains(moved.ToString(), places),
            () =>
            {
                Assert.Equal(0, tree.Rename(places[0], places[1]));
                Assert.Equal(0, tree.Rename(places[1], places[0]));
            });
    }
}
