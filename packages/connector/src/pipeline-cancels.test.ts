// Tests cancel messages in the pipeline.
import { beforeEach, describe, expect, test } from 'vitest'
import { PipelineRig, property } from './testing/pipeline-rig.ts'

let rig: PipelineRig
beforeEach(() => void (rig = new PipelineRig()))

describe('a cancel message', () => {
  test('cancels the named request, is settled, and receives no reply', async () => {
    rig.call = ({ deadline }) =>
      new Promise((_, reject) => {
        deadline.waiting = reject
      })
    const request = rig.delivery()
    rig.pipeline.handle(request)
    const cancel = rig.cancelMessage()
    rig.pipeline.handle(cancel)
    await rig.pipeline.idle()
    expect(rig.replies.map((reply) => property(reply, 'code'))).toEqual(['cancelled'])
    expect([cancel.settledAfter, rig.telemetry.cancelMessages]).toEqual([0, 1])
  })

  test('cancels a request whose model was removed', async () => {
    rig.call = ({ deadline }) =>
      new Promise((_, reject) => {
        deadline.waiting = reject
      })
    rig.pipeline.handle(rig.delivery())
    rig.table.delete('iris')
    rig.pipeline.handle(rig.cancelMessage())
    await rig.pipeline.idle()
    expect(rig.replies.map((reply) => property(reply, 'code'))).toEqual(['cancelled'])
  })

  test('is counted and settled even if it names no request', async () => {
    await rig.handled(rig.delivery({ topic: 'infer/cancel/cam7/iris/infer', properties: {} }))
    expect([rig.replies.length, rig.telemetry.cancelMessages]).toEqual([0, 1])
  })
})
