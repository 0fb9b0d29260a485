using Sandbox.Policy.Language;
using Sandbox.Supervisor.Launch;

namespace Sandbox.Supervisor.Trust;

/// <summary>What an operator's policy extends: files that nobody else can change either, and built-in ones.</summary>
/// <param name="Owner">The operator.</param>
sealed record OperatorFiles(uint Owner) : IPolicyFiles
{
    public PolicyModel? Known(string name) => BuiltinModels.Of(name);

    /// <exception cref="UsageException">It is there and cannot be relied on.</exception>
    public SourceText? Read(string name, out string problem)
    {
        SourceText? source = OperatorFile.Read(name, Owner);
        problem = source is null ? "cannot be read: no such file" : "";
        return source;
    }
}
