using System.Text;

namespace Sandbox.Policy.Language;

/// <summary>
/// Files of a policy as they are read, each once: what was compared with the signature is what the language gets. The
/// names and the order of what a policy extends follow from its text, so that a list of digests in reading order says
/// it all. Policies that are built in are part of this program, and not signed.
/// </summary>
public sealed class SignedFiles : IPolicyFiles
{
    readonly IPolicyFiles _files;
    readonly SignatureStatement? _statement;
    readonly List<SignedFile> _read = [];
    string _folder = "";

    /// <param name="statement">What must be read; null to take down what is.</param>
    public SignedFiles(IPolicyFiles files, SignatureStatement? statement)
    {
        _files = files;
        _statement = statement;
    }

    /// <summary>What has been read, the policy itself first.</summary>
    public IReadOnlyList<SignedFile> Files => _read;

    /// <summary>A file was not what was signed.</summary>
    public bool HasRefused { get; private set; }

    public PolicyModel? Known(string name) => _files.Known(name);

    public SourceText? Read(string name, out string problem) =>
        Checked(_files.Read(name, out problem), name, ref problem);

    public SourceText? ReadGiven(string name, out string problem) =>
        Checked(_files.ReadGiven(name, out problem), name, ref problem);

    SourceText? Checked(SourceText? source, string name, ref string problem)
    {
        if (source is null || source.Name.StartsWith(BuiltinPolicies.Prefix, StringComparison.Ordinal))
            return source;
        if (_read.Count == 0)
            _folder = name[..(name.LastIndexOf('/') + 1)];
        string shown = _folder.Length > 0 && name.StartsWith(_folder, StringComparison.Ordinal)
            ? name[_folder.Length..]
            : name;
        // Text that was read as UTF-8 and is written as UTF-8 is the bytes of the file: others are refused as text.
        var file = new SignedFile(DigestText.Of(Encoding.UTF8.GetBytes(source.Content)), shown);
        _read.Add(file);
        if (_statement is null)
            return source;
        bool listed = _read.Count <= _statement.Files.Count;
        if (listed && _statement.Files[_read.Count - 1].Digest == file.Digest)
            return source;
        HasRefused = true;
        problem = listed ? "is not the file that was signed" : "is not among the files that were signed";
        return null;
    }
}
