namespace Sandbox.Supervisor.Doctor;

enum Verdict
{
    Ok,
    /// <summary>Worth knowing; guests run all the same.</summary>
    Note,
    /// <summary>No guest can run until this is fixed.</summary>
    Missing,
}

/// <summary>One line of the doctor's report.</summary>
/// <param name="Fix">What to do about it; null when there is nothing to do.</param>
sealed record Finding(string Subject, Verdict Verdict, string Detail, string? Fix = null);
