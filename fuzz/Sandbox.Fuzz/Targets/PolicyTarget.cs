using System.Text;
using System.Text.Unicode;
using Sandbox.Policy.Language;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// The front end of the policy language: any text is read, and what is right is judged, written out again, and must
/// then mean the same.
/// </summary>
sealed class PolicyTarget : FuzzTarget
{
    public override string Name => "policy";

    public override string Summary => "policies: YAML, schema, values, composition, compilation, and back to text";

    public override int MaximumLength => 4096;

    public override long AllocationLimit => 64 << 20;

    public override IReadOnlyList<byte[]> Dictionary { get; } =
    [
        .. "version: 1\n|fragment: true\n|extends: builtin:base.yaml\n|guest:\n|files:\n|  show:\n|  rules:\n|network:\n|syscalls:\n|    - path: /|allow: |deny: |devices:\n|deny-environment: |because: x\n|&a |*a|!!str |**|~/|{|}|[|]|\"|'|\\x|: |- |? |operations: +5|value: 04000|\\u202e|\\*|to: \"*\""
            .Split('|').Select(Encoding.UTF8.GetBytes),
    ];

    public override IEnumerable<(string, byte[])> Seeds()
    {
        foreach (string name in BuiltinPolicies.Names)
            if (BuiltinPolicies.Read(name)!.Content.Replace("extends: ", "extends: builtin:", StringComparison.Ordinal) is { Length: < 4096 } text)
                yield return (name, Encoding.UTF8.GetBytes(text));
        yield return ("denials.yaml", """
            version: 1
            fragment: true
            guest: {deny-environment: [A, {value: B, because: x}]}
            files:
              show:
                - {path: /d, memory: true}
                - {deny: /d/x, because: y}
                - deny: ~/z
            devices: [{device: console}, {deny: block, from: /a}, {deny: vsock}]
            command-line: [mount, environment]

            """u8.ToArray());
    }

    public override bool Run(ReadOnlySpan<byte> input)
    {
        if (!Utf8.IsValid(input))
            return false;
        var diagnostics = new Diagnostics();
        var source = new SourceText("input", Encoding.UTF8.GetString(input));
        CompiledPolicy? policy = CompiledPolicy.Load(source, new NoFiles(), diagnostics);
        OracleException.Check(policy is null == diagnostics.HasErrors, "a policy with errors, or none without");
        DiagnosticReports.Human(diagnostics.List, diagnostics.Dropped);
        string? formatted = PolicyFormat.Format(source, new Diagnostics());
        OracleException.Check(formatted is null || PolicyFormat.Format(new SourceText("formatted", formatted), new Diagnostics()) == formatted,
            "what was formatted is not in canonical layout");
        if (policy is null)
            return false;
        OracleException.Check(formatted is not null, "a policy cannot be formatted");
        Lint.Check(policy, diagnostics);
        var again = new Diagnostics();
        CompiledPolicy? written = CompiledPolicy.Load(new SourceText("written", PolicyText.Write(policy.Model)), new NoFiles(), again);
        OracleException.Check(written is not null,
            $"what was written cannot be read: {(again.List.Count > 0 ? again.List[0].Message : "no reason given")}");
        PolicyComparison comparison = PolicyComparer.Compare(policy, written!);
        OracleException.Check(comparison.Differences.Count == 0,
            $"what was written means something else: {(comparison.Differences.Count > 0 ? comparison.Differences[0].Witness : "")}");
        return true;
    }

    sealed class NoFiles : IPolicyFiles
    {
        public SourceText? Read(string name, out string problem)
        {
            problem = "is not there";
            return null;
        }
    }
}
