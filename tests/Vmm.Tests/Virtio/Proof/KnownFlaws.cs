namespace Sandbox.Vmm.Tests.Virtio.Proof;

/// <summary>
/// Published flaws of virtual machine monitors and classes of them, as far as devices and their
/// transport are concerned; each says what was wrong elsewhere, and which counts of a device show that it was tried here.
/// </summary>
static class KnownFlaws
{
    /// <summary>Published, by number.</summary>
    public static IReadOnlyList<TableRow> Published { get; } =
    [
        new("CVE-2026-5747", "The size of a queue, changed after DRIVER_OK, was used unchecked.", "frozen"),
        new("CVE-2019-18960", "A packet that began in RAM and ended behind it was taken for RAM.", "not_ram"),
        new("CVE-2020-16843", "Packets that once found no buffer were never looked at again.", "packets_received"),
        new("CVE-2020-27174", "Input that a guest did not take was kept without a bound.", "to_guest_bytes"),
        new("CVE-2026-45782", "A buffer was used after the device had been reset.", "resets"),
        new(
            "GHSA-jmr4-g2hv-mjj6", "The format of a disk was guessed, and so was the file that it named.",
            "written_bytes"),
        new("CVE-2021-3929", "A device was told to write to its own registers.", "not_ram"),
        new("CVE-2021-3750", "Another device's registers were written to by a descriptor.", "not_ram"),
        new("CVE-2023-0330", "The same, by way of the interrupt controller.", "not_ram"),
        new("CVE-2024-3446", "The same, behind what was put off.", "not_ram"),
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
        None("CVE-2026-1386", "A link was followed while root copied a file.", "about jails: docs/jail.md"),
        None(
            "CVE-2015-3456", "A device that nobody used was there.",
            "there is no such device: a guest has what its plan names"),
        None(
            "CVE-2023-1544", "Page tables of a device had the length that a guest named.",
            "no device has tables of its own"),
        None("CVE-2024-26327", "More functions were enabled than a device has.", "there is no PCI"),
        None(
            "CVE-2019-14835", "Writing down changed pages went over the end of a list.",
            "queues are not served by the kernel"),
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

    private static TableRow None(string name, string text, string reason) => new(name, text, Without: reason);
}
