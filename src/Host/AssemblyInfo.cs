using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

// Every import takes and returns blittable types: nothing is converted behind the caller's back.
[assembly: DisableRuntimeMarshalling]
// Libraries are found where the system keeps them, never beside the program.
[assembly: DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
