// The model server of fixtures/misbehaving-upstream.ts in a process of its own: the harness's work is not its delay.
import { startUpstream } from '../fixtures/misbehaving-upstream.ts'

/** What it is told. */
export type UpstreamOrder = 'calls' | 'stop' | 'start'

const upstream = await startUpstream()
process.on('message', (order: UpstreamOrder) => {
  if (order === 'calls') process.send!({ calls: callsByModel() })
  else void upstream[order]().then(() => process.send!({ done: order }))
})
process.on('disconnect', () => process.exit(0))
process.send!({ port: upstream.port })

function callsByModel(): Record<string, number> {
  const calls: Record<string, number> = {}
  for (const { model } of upstream.requests) calls[model] = (calls[model] ?? 0) + 1
  return calls
}
