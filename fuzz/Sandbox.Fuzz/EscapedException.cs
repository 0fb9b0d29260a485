namespace Sandbox.Fuzz;

/// <summary>An exception that the code under test caught at its outermost frame, as text.</summary>
public sealed class EscapedException(string text) : Exception(text);
