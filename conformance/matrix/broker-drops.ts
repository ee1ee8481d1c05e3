// Reads from the broker's $SYS topics how many messages it dropped.
import { TestClient } from '../fixtures/mqtt-client.ts'
import type { Mosquitto } from '../fixtures/mosquitto.ts'
import { pause, type Stage } from './stage.ts'

/** Lines of mosquitto.conf that make Mosquitto publish $SYS every second. */
export const PUBLISHES_DROPS: readonly string[] = ['sys_interval 1']

/** Subscribes to the count of dropped messages; the returned function resolves with the current count. */
export async function watchDrops(stage: Stage, { url }: Mosquitto): Promise<() => Promise<number>> {
  const watcher = await TestClient.connect(url)
  stage.later(() => watcher.close())
  await watcher.subscribe('$SYS/broker/publish/messages/dropped')
  return async () => {
    // Waits until the next report is due. The broker does not report an unchanged value, so the
    // latest report counts.
    await pause(2_500)
    return Number(watcher.received.at(-1)?.payload.toString() ?? 0)
  }
}
