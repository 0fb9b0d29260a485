using System.Text;
using Sandbox.EndToEnd.Harness;

namespace Sandbox.EndToEnd;

/// <summary>busybox applets, each a process guest of its own.</summary>
public sealed class BusyboxTests
{
    const string Input = "pear 3\napple 1\nfig 2\napple 1\n";

    [Theory]
    [InlineData("ash -c 'for i in 1 2 3; do echo $i; done | tac; x=$(echo sub); echo $x; false || echo or; exit 3'", 3)]
    [InlineData("awk '{ s += $2; print NR\": \"$1 } END { print s }' input")]
    [InlineData("base64 input")]
    [InlineData("basename /usr/lib/x.so .so")]
    [InlineData("cal 2 2024")]
    [InlineData("cat input -")]
    [InlineData("chmod 600 input")]
    [InlineData("cmp input input")]
    [InlineData("cp -a input copied")]
    [InlineData("cut -d' ' -f2 input")]
    [InlineData("date -u -d @0 +%Y-%m-%d")]
    [InlineData("dc -e '2 3 + p'")]
    [InlineData("dd if=input of=block bs=5 count=2 conv=notrunc", 0, "")]
    [InlineData("diff input /dev/null", 1)]
    [InlineData("dirname /usr/lib/x.so")]
    [InlineData("du -a folder/nothing", 1)]
    [InlineData("echo -n -e 'a\\tb\\n'")]
    [InlineData("env -i A=1 B=2 /bin/busybox env")]
    [InlineData("expand input")]
    [InlineData("expr 6 '*' 7")]
    [InlineData("factor 123456789")]
    [InlineData("false", 1)]
    [InlineData("find folder -type f")]
    [InlineData("fold -w 4 input")]
    [InlineData("grep -n app input")]
    [InlineData("gzip -c -n input")]
    [InlineData("head -n 2 input")]
    [InlineData("hexdump -C input")]
    [InlineData("ls -1 folder")]
    [InlineData("ln -s input linked")]
    [InlineData("md5sum input")]
    [InlineData("mkdir -p deep/er")]
    [InlineData("sh -c 'mkfifo /tmp/e2e-$$; (echo through > /tmp/e2e-$$ &); cat /tmp/e2e-$$; rm /tmp/e2e-$$'")]
    [InlineData("mv input moved")]
    [InlineData("nl input")]
    [InlineData("nproc --all --ignore=1000")]
    [InlineData("od -c input")]
    [InlineData("paste input input")]
    [InlineData("printf '%05d %s\\n' 42 text")]
    [InlineData("sh -c 'cd /usr/bin; pwd'")]
    [InlineData("readlink -f /usr/bin/../bin/env")]
    [InlineData("realpath /usr/../usr/bin")]
    [InlineData("rev input")]
    [InlineData("rm -r folder")]
    [InlineData("sed -e 's/app/APP/;2d' input")]
    [InlineData("seq 1 7 50")]
    [InlineData("sh -c 'kill -TERM $$'", 143)]
    [InlineData("sha1sum input")]
    [InlineData("sha256sum input")]
    [InlineData("sha512sum input")]
    [InlineData("shuf -n 0 input")]
    [InlineData("sleep 0.01")]
    [InlineData("sort -k2n input")]
    [InlineData("stat -c '%n %s %F' input folder")]
    [InlineData("strings input")]
    [InlineData("tac input")]
    [InlineData("tail -n 1 input")]
    [InlineData("sh -c 'busybox tar -cf - folder/inner | busybox tar -tf -'")]
    [InlineData("tee one two")]
    [InlineData("test -f input")]
    [InlineData("timeout 0.1 /bin/busybox sleep 5", 143)]
    [InlineData("touch -d @1000 input")]
    [InlineData("tr a-z A-Z")]
    [InlineData("true")]
    [InlineData("truncate -s 100 input")]
    [InlineData("uname -s -m")]
    [InlineData("uniq -c input")]
    [InlineData("unix2dos input")]
    [InlineData("usleep 1000")]
    [InlineData("uuencode name")]
    [InlineData("vi --help")]
    [InlineData("wc input")]
    [InlineData("which busybox")]
    [InlineData("xargs -n 1 echo item")]
    [InlineData("xxd input")]
    [InlineData("yes no", 141)]
    public void Applet(string command, int status = 0, string input = Input)
    {
        Tool.Need("/bin/busybox");
        // The shell that takes the words apart is the native one; `yes` needs somebody to stop reading.
        string[] words = [.. Words(command)];
        if (words[0] == "yes")
            words = ["ash", "-c", "set -o pipefail; busybox yes no | busybox head -n 3"];
        new Case(["/bin/busybox", .. words])
        {
            Input = Encoding.ASCII.GetBytes(input),
            Status = status,
            WithFiles = true,
            Prepare = Fill,
        }.MustMatch();
    }

    [Fact]
    public void A_pipeline_of_applets_in_a_static_shell()
    {
        Tool.Need("/bin/busybox");
        new Case("/bin/busybox", "ash", "-c",
            "busybox seq 1 2000 | busybox awk '$1 % 7 == 0' | busybox sort -rn | busybox head -n 5 | busybox md5sum; "
            + "(sleep 0.05; echo late) & wait; cat <<END\nhere $((6 * 7))\nEND\ntrap 'echo bye' EXIT").MustMatch();
    }

    static void Fill(string folder)
    {
        File.WriteAllText(Path.Combine(folder, "input"), Input);
        File.SetUnixFileMode(Path.Combine(folder, "input"), (UnixFileMode)0b110_100_100);
        string inner = Directory.CreateDirectory(Path.Combine(folder, "folder")).FullName;
        File.WriteAllText(Path.Combine(inner, "inner"), "inner file\n");
        File.SetUnixFileMode(Path.Combine(inner, "inner"), (UnixFileMode)0b110_100_100);
        File.SetLastWriteTimeUtc(Path.Combine(inner, "inner"), DateTime.UnixEpoch.AddDays(10000));
    }

    /// <summary>Words separated by spaces; single quotes keep spaces together.</summary>
    static IEnumerable<string> Words(string command)
    {
        var word = new StringBuilder();
        bool quoted = false, any = false;
        foreach (char c in command)
        {
            if (c == '\'')
            {
                (quoted, any) = (!quoted, true);
            }
            else if (c == ' ' && !quoted)
            {
                if (any)
                    yield return word.ToString();
                word.Clear();
                any = false;
            }
            else
            {
                word.Append(c);
                any = true;
            }
        }

        if (any)
            yield return word.ToString();
    }
}
