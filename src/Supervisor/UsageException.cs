namespace Sandbox.Supervisor;

/// <summary>
/// The caller or the host made a sandbox impossible: the message is the whole of what the user sees, one line that
/// says what, where and what to do next. It ends in exit status 125 and never in a stack trace.
/// </summary>
class UsageException : Exception
{
    public UsageException(string message) : base(message)
    {
    }
}
