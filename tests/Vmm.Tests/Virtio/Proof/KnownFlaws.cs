namespace Sandbox.Vmm.Tests.Virtio.Proof;

/// <summary>
/// Published flaws of virtual machine monitors and classes of them; each says what was wrong elsewhere, and which counts
/// of a guest show that it was tried here.
/// </summary>
static class KnownFlaws
{
    /// <summary>Published, by number.</summary>
    public static IReadOnlyList<TableRow> Published { get; } =
    [
        new("CVE-2026-5747", "The size of a queue, changed after DRIVER_OK, was used unchecked.", "frozen"),
        new("CVE-2019-18960", "A packet that began in RAM and ended behind it was taken for RAM.", "not_ram"),
        new("CVE-2020-16843", "Packets that once found no buffer were never looked at again.", "packets_received"),
        new(
            "CVE-2020-27174", "Input that a guest did not take was kept without a bound.",
            "sandbox_guest_serial_lost_bytes to_guest_bytes"),
        new("FC-5762", "A request to rng made the host keep more than the guest gave.", "random_bytes"),
        new("FC-5794", "Statistics without an end held up all devices.", Nothing),
        new("FC-6076", "A size in MiB became 0 when it was multiplied.", Nothing),
        new("FC-5793", "Memory that the guest had given back was there for it still.", "pages_inflated pages_refused"),
        new("CVE-2026-45782", "A buffer was used after the device had been reset.", "resets"),
        new(
            "GHSA-jmr4-g2hv-mjj6", "The format of a disk was guessed, and so was the file that it named.",
            "written_bytes"),
        new("CH-v52", "A queue or a register that is not there ended the monitor.", "access"),
        new("RUSTSEC-2020-0157", "What the guest changed meanwhile was read in halves.", "available_index"),
        new("RUSTSEC-2023-0030", "Saved state said more of itself than there was.", Nothing),
        new("RUSTSEC-2023-0056", "A length went unchecked into guest memory.", "not_ram"),
        new("RUSTSEC-2024-0002", "The length in a saved list's head was not the list's.", Nothing),
        new("virtio-queue-0.6.1", "An available index ahead of the queue was followed for ever.", "available_index"),
        new("virtio-queue-0.8.0", "A chain of 4 GiB and more wrapped.", "too_many_bytes"),
        new("CVE-2021-3929", "A device was told to write to its own registers.", "not_ram"),
        new("CVE-2021-3750", "Another device's registers were written to by a descriptor.", "not_ram"),
        new("CVE-2023-0330", "The same, by way of the interrupt controller.", "not_ram"),
        new("CVE-2024-3446", "The same, behind what was put off.", "not_ram"),
        new("CVE-2026-17588", "The same, behind what a timer does later.", "not_ram"),
        new(
            "CVE-2021-3748", "Buffers of a packet that found no room were used when they were freed.",
            "packets_received"),
        new("CVE-2022-26353", "Or, after that was mended, never came back.", "packets_received"),
        new("CVE-2022-26354", "A request that ended in an error was not given back.", "packets_reset packets_dropped"),
        new("CVE-2016-5403", "Requests without a bound were in flight.", "available_index"),
        new("CVE-2011-2512", "The number of a queue was negative.", "notify"),
        new("CVE-2023-6693", "A header was longer than its place, depending on features.", "packets_sent"),
        new("CVE-2026-48914", "SCSI requests had lengths of their own.", "unsupported"),
        new("CVE-2017-16845", "State that came with a migration was believed.", Nothing),
        new("CVE-2021-29657", "What had been checked was read again.", "read_bytes"),
        new("OpenBSD-vmd", "Lengths were what the guest said, not what its buffers had.", "packets_reset"),
        new("CVE-2026-1386", "A link was followed while root copied a file.", Nothing),
        new(
            "CVE-2015-3456", "A device that nobody used was there.",
            "sandbox_guest_stray_reads sandbox_guest_stray_writes"),
        new("CVE-2023-1544", "Page tables of a device had the length that a guest named.", "queue"),
        new("CVE-2024-26327", "More functions were enabled than a device has.", "features"),
        new("CVE-2019-14835", "Writing down changed pages went over the end of a list.", "features"),
    ];

    /// <summary>Kinds of flaws, whoever had them.</summary>
    public static IReadOnlyList<TableRow> Classes { get; } =
    [
        new("chain-loop", "Chains and tables that lead back to themselves.", "too_long"),
        new("chain-length", "Chains longer than a queue.", "too_long"),
        new(
            "index-ahead", "An available index ahead of what a queue holds, or behind what was taken.",
            "available_index"),
        new("index-outside", "Heads and next descriptors outside of their table.", "head_index next_index"),
        new("wrapping-address", "Addresses and lengths that wrap.", "not_ram"),
        new("wrapping-sector", "Sectors that wrap when they become bytes.", "errors"),
        new("wrapping-size", "Sizes that wrap when they become pages.", Nothing),
        new("four-gigabytes", "Requests of 4 GiB and more.", "too_many_bytes"),
        new("registers", "Descriptors that lead to device registers.", "not_ram"),
        new(
            "changed-while-read", "Rings, descriptors and requests that change while they are read.",
            "head_index not_ram"),
        new("rewritten-queue", "Queue registers that are written after DRIVER_OK.", "frozen"),
        new("early-notification", "Notifications before a device is active.", "notify"),
        new("skipped-step", "Status bits that are skipped, cleared or unknown.", "status"),
        new("reset-in-flight", "Resets while requests are served.", "resets"),
        new("odd-access", "Short, unaligned and straddling accesses.", "access"),
        new("lost-notification", "Notifications while a device is paused, moved or out of buffers.", "notifications"),
        new(
            "amplification", "Requests that make the host keep or do more than the guest gave.",
            "random_bytes packets_dropped"),
        new("saved-state", "Saved states that no device ever had.", Nothing),
        new("end-of-monitor", "Any of these, one after the other: the monitor and its device go on.", "resets"),
    ];

    /// <summary>It is the host's own doing, or ends before there is a device that could count.</summary>
    private const string Nothing = "-";

    /// <summary>
    /// Those that this project set out to try: flaws of Firecracker (FC, by its own numbers where there is no other), Cloud
    /// Hypervisor (CH), the crates that both are made of, QEMU, KVM, vhost and OpenBSD's vmd. None may go without a test.
    /// </summary>
    public static IReadOnlyList<string> Wanted { get; } =
    [
        "CVE-2026-5747", "CVE-2026-1386", "CVE-2019-18960", "CVE-2020-16843", "CVE-2020-27174", "FC-5762", "FC-5794",
        "FC-6076", "FC-5793", "CVE-2026-45782", "GHSA-jmr4-g2hv-mjj6", "CH-v52", "RUSTSEC-2023-0056",
        "RUSTSEC-2024-0002", "RUSTSEC-2023-0030", "RUSTSEC-2020-0157", "virtio-queue-0.6.1", "virtio-queue-0.8.0",
        "CVE-2015-3456", "CVE-2021-3929", "CVE-2021-3750", "CVE-2023-0330", "CVE-2024-3446", "CVE-2026-17588",
        "CVE-2021-3748", "CVE-2022-26353", "CVE-2022-26354", "CVE-2016-5403", "CVE-2011-2512", "CVE-2023-6693",
        "CVE-2026-48914", "CVE-2023-1544", "CVE-2024-26327", "CVE-2017-16845", "CVE-2019-14835", "CVE-2021-29657",
        "OpenBSD-vmd",
    ];
}
