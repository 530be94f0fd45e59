// The camera. Browsers lend it to pages of this machine and of HTTPS; elsewhere a phone's own
// camera app is asked for a picture.

const $ = id => document.getElementById(id);
let stream = null, count = 0;

export async function openCamera() {
  if (stream) return closeCamera();
  if (!navigator.mediaDevices) return $("capture").click();
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    throw new Error(`There is no camera to use: ${error.message}`);
  }
  $("viewfinder").hidden = false;
  $("camera").setAttribute("aria-expanded", "true");
  $("video").srcObject = stream;
  await $("video").play();
  $("shoot").focus();
}

export function closeCamera() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  $("video").srcObject = null;
  $("viewfinder").hidden = true;
  $("camera").setAttribute("aria-expanded", "false");
  $("camera").focus();
}

export async function shoot() {
  const video = $("video"), canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  const file = await new Promise(done => canvas.toBlob(done, "image/jpeg", 0.95));
  return { name: `camera-${++count}.jpg`, file };
}
