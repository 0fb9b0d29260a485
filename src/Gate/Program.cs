using Sandbox.Gate;

// sandbox-gate guest|host OUTPUT.cs: assembles machine code and writes it as C# source, so that what ships carries
// plain bytes and no assembler. guest: what runs inside guests, for the VMM. host: what C# cannot say, for
// Sandbox.Host.
GeneratedSource source = new();
switch (args)
{
    case ["guest", _]:
        AddGuestCode(source);
        break;
    case ["host", _]:
        AddHostCode(source);
        break;
    default:
        Console.Error.WriteLine("usage: sandbox-gate guest|host OUTPUT.cs");
        return 2;
}
source.WriteIfChanged(args[1]);
return 0;

static void AddHostCode(GeneratedSource source)
{
    source.Add(
        "Sandbox.Host", "CloneBytes", "long clone_script(struct step *start, struct step *list).", CloneCode.Assemble(),
        ("Number", CloneCode.Number), ("Arguments", CloneCode.Arguments), ("Result", CloneCode.Result),
        ("Tolerated", CloneCode.Tolerated), ("StepSize", CloneCode.StepSize), ("End", CloneCode.End),
        ("Failed", CloneCode.Failed));
}

static void AddGuestCode(GeneratedSource source)
{
    source.Add("Sandbox.Vmm.Personality.Loader", "VdsoBytes", "The vDSO: a whole ELF image.", VdsoImage.Build());
    source.Add(
        "Sandbox.Vmm.Personality.Loader", "HostTscBytes", "unsigned long read_tsc(void).", HostTscCode.Assemble());
    source.Add("Sandbox.Vmm", "ForbiddenCallBytes", "void forbidden_call(int, siginfo_t *, void *).",
        ForbiddenCallCode.Assemble());
    byte[] gate = Ring0Code.AssembleGate(out int gateReturn, out int probe);
    source.Add("Sandbox.Vmm.Platforms.Kvm", "GateBytes", "The system-call gate.", gate,
        ("ReturnOffset", gateReturn), ("ProbeOffset", probe));
    byte[] handoff = HandoffCode.Assemble(out HandoffCode.Offsets at);
    source.Add("Sandbox.Vmm.Platforms.Kvm", "HandoffBytes", "The system-call gate of a vCPU whose calls are attended.",
        handoff,
        ("Requested", at.Requested), ("Out", at.Out), ("Left", at.Left), ("Answered", at.Answered), ("End", at.End));
    source.Add("Sandbox.Vmm.Platforms", "ExchangeLayout", "The page that the hand-off gate shares with the VMM.", [],
        ("Request", HandoffCode.Request), ("Attended", HandoffCode.Attended), ("Result", HandoffCode.Result),
        ("Call", HandoffCode.Call), ("StackPointer", HandoffCode.StackPointer), ("Flags", HandoffCode.Flags),
        ("NoRequest", HandoffCode.None), ("Waiting", HandoffCode.Waiting), ("HasAnswer", HandoffCode.Answered),
        ("MustLeave", HandoffCode.Leave));
    byte[] ring0 = Ring0Code.Assemble(out int ring0Return);
    source.Add("Sandbox.Vmm.Platforms.Kvm", "Ring0Bytes", "Exception stubs and the page-table edit routine.", ring0,
        ("StubSize", Ring0Code.StubSize), ("StubCount", Ring0Code.StubCount),
        ("PageFaultVector", Ring0Code.PageFaultVector), ("GatePort", Ring0Code.GatePort),
        ("ExceptionPort", Ring0Code.ExceptionPort), ("EditsDonePort", Ring0Code.EditsDonePort),
        ("EditOffset", Ring0Code.EditOffset), ("ReturnOffset", ring0Return));
}
