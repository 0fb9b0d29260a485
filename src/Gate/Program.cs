using Sandbox.Gate;

// sandbox-gate OUTPUT.cs: assembles the machine code that runs inside guests and writes it as C# source, so that the
// VMM carries plain bytes and no assembler.
if (args.Length != 1)
{
    Console.Error.WriteLine("usage: sandbox-gate OUTPUT.cs");
    return 2;
}

GeneratedSource source = new();
source.Add("Sandbox.Vmm.Personality.Loader", "VdsoBytes", "The vDSO: a whole ELF image.", VdsoImage.Build());
source.Add(
    "Sandbox.Vmm.Personality.Loader", "HostTscBytes", "unsigned long read_tsc(void).", HostTscCode.Assemble());
source.WriteIfChanged(args[0]);
return 0;
