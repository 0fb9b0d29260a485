using Sandbox.Vmm.Virtio;
using Xunit;

namespace Sandbox.Vmm.Tests.Virtio;

public class TokenBucketTests
{
    private const long Second = 1_000_000_000;

    [Fact]
    public void A_burst_passes_at_once_and_then_the_rate()
    {
        TokenBucket bucket = new(perSecond: 100, burst: 10);
        long now = 5 * Second;
        for (int i = 0; i < 10; i++)
        {
            Assert.True(bucket.AvailableAt(1, now) <= now, $"{i}");
            bucket.Take(1, now);
        }
        Assert.Equal(now + (Second / 100), bucket.AvailableAt(1, now));
        Assert.Equal(now + (Second / 20), bucket.AvailableAt(5, now));
        Assert.True(bucket.AvailableAt(10, now + (Second / 10)) <= now + (Second / 10));
    }

    [Fact]
    public void More_than_a_burst_passes_when_the_bucket_is_full_and_is_waited_for_afterwards()
    {
        TokenBucket bucket = new(perSecond: 100, burst: 10);
        Assert.True(bucket.AvailableAt(1000, Second) <= Second);
        bucket.Take(1000, Second);
        Assert.Equal(Second + (10 * Second) - (Second / 10) + (Second / 100), bucket.AvailableAt(1, Second));
    }

    [Theory]
    [InlineData(3, 1)]
    [InlineData(7, 2)]
    [InlineData(999_999_937, 1000)]
    public void Over_a_long_time_the_rate_is_never_exceeded(long perSecond, long burst)
    {
        TokenBucket bucket = new(perSecond, burst);
        long now = 0, taken = 0;
        for (int i = 0; i < 1000; i++)
        {
            now = Math.Max(now, bucket.AvailableAt(1, now));
            bucket.Take(1, now);
            taken++;
        }
        Assert.True(taken <= burst + ((Int128)now * perSecond / Second) + 1, $"{taken} in {now} ns");
        Assert.True(taken >= ((Int128)now * perSecond / Second * 99 / 100), $"{taken} in {now} ns");
    }

    [Fact]
    public void Nothing_wraps()
    {
        TokenBucket bucket = new(perSecond: 1, burst: 1);
        for (int i = 0; i < 100; i++)
        {
            bucket.Take(long.MaxValue, Second);
            Assert.True(bucket.AvailableAt(1, Second) > Second);
            Assert.True(bucket.AvailableAt(long.MaxValue, Second) > Second);
        }
        TokenBucket fast = new(perSecond: long.MaxValue, burst: long.MaxValue);
        fast.Take(uint.MaxValue, 0);
        Assert.True(fast.AvailableAt(uint.MaxValue, 0) <= 0);
    }
}
