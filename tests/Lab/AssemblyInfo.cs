using System.Runtime.Versioning;
using Sandbox.Lab;

[assembly: AssemblyFixture(typeof(Laboratory))]
[assembly: SupportedOSPlatform("linux")]
