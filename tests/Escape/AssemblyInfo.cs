using System.Runtime.Versioning;
using Sandbox.Escape;

[assembly: AssemblyFixture(typeof(World))]
[assembly: SupportedOSPlatform("linux")]
