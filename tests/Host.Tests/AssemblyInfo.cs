using System.Runtime.CompilerServices;

// As in the assembly under test: structures cross unchanged.
[assembly: DisableRuntimeMarshalling]
