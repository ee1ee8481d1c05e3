// Tests when the pipeline reuses the memory of a request's body.
import { Problem } from '@inferwire/protocol'
import { beforeEach, describe, expect, test } from 'vitest'
import type { EndpointResponse } from './step.ts'
import { ok, PipelineRig, turn } from './testing/pipeline-rig.ts'

let rig: PipelineRig
beforeEach(() => void (rig = new PipelineRig()))

const sent = (): Promise<EndpointResponse> => Promise.resolve({ ...ok(), isBodySent: true })

describe("the memory of a request's body", () => {
  test('is reused after a call whose transport has sent the body', async () => {
    rig.call = sent
    const delivery = rig.delivery()
    await rig.handled(delivery)
    expect([delivery.isRecycled, delivery.isReleased, delivery.settledAfter]).toEqual([true, true, 1])
  })

  test('is not reused if the transport may still be sending the body', async () => {
    const delivery = rig.delivery()
    await rig.handled(delivery)
    expect([delivery.isRecycled, delivery.isReleased]).toEqual([false, true])
  })

  test('is not reused after an error', async () => {
    rig.call = () => Promise.reject(new Problem('upstream_error', 'no', { status: 400 }))
    const delivery = rig.delivery()
    await rig.handled(delivery)
    expect(delivery.isRecycled).toBe(false)
  })

  test('is not reused if a repeated request shares it', async () => {
    let answer!: (response: EndpointResponse) => void
    rig.call = () => new Promise((resolve) => (answer = resolve))
    const deliveries = [rig.delivery(), rig.delivery()]
    for (const delivery of deliveries) rig.pipeline.handle(delivery)
    await turn()
    answer({ ...ok(), isBodySent: true })
    await rig.pipeline.idle()
    expect(deliveries.map(({ isRecycled }) => isRecycled)).toEqual([false, false])
  })

  test('is not reused for a repeated request that is answered from memory', async () => {
    rig.call = sent
    const deliveries = [rig.delivery(), rig.delivery()]
    await rig.handled(deliveries[0]!)
    await rig.handled(deliveries[1]!)
    expect(deliveries.map(({ isRecycled }) => isRecycled)).toEqual([true, false])
  })

  test('is not reused for a delivery whose connection was lost', async () => {
    const delivery = rig.delivery()
    rig.call = () => {
      delivery.isLost = true
      return sent()
    }
    await rig.handled(delivery)
    expect(delivery.isRecycled).toBe(false)
  })
})
