// What the broker itself says that it dropped.
import { TestClient } from '../fixtures/mqtt-client.ts'
import type { Mosquitto } from '../fixtures/mosquitto.ts'
import { pause, type Stage } from './stage.ts'

/** Lines of mosquitto.conf: it tells every second. */
export const TELLS_DROPS: readonly string[] = ['sys_interval 1']

/** Begins to listen; the function resolves with the count of now. */
export async function watchDrops(stage: Stage, { url }: Mosquitto): Promise<() => Promise<number>> {
  const watcher = await TestClient.connect(url)
  stage.later(() => watcher.close())
  await watcher.subscribe('$SYS/broker/publish/messages/dropped')
  return async () => {
    // Its next report; it tells only what changed.
    await pause(2_500)
    return Number(watcher.received.at(-1)?.payload.toString() ?? 0)
  }
}
