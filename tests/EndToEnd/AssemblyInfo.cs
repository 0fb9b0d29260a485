using System.Runtime.Versioning;
using Sandbox.EndToEnd.Harness;

[assembly: AssemblyFixture(typeof(Ring))]
[assembly: SupportedOSPlatform("linux")]
