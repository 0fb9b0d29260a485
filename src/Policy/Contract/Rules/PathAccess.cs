namespace Sandbox.Policy.Contract;

/// <summary>What can be done to a path.</summary>
[Flags]
public enum PathAccess
{
    None = 0,
    /// <summary>Open for reading, list, read a link.</summary>
    Read = 1,
    /// <summary>Change contents or attributes.</summary>
    Write = 2,
    /// <summary>Run as a program.</summary>
    Execute = 4,
    /// <summary>Add a name.</summary>
    Create = 8,
    /// <summary>Take a name away.</summary>
    Delete = 16,
    All = Read | Write | Execute | Create | Delete,
}
