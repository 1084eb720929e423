"""The benchmark's errors and rules written down plainly, one number at a time: what the fast ones are compared with."""

from __future__ import annotations

import math

import numpy as np


def moved(pose, x):
    return pose[:3, :3] @ x + pose[:3, 3]


def pixel(K, x):
    u, v, w = K @ x
    return np.array([u / w, v / w])


def add(est, gt, points):
    return float(np.mean([np.linalg.norm(moved(est, x) - moved(gt, x)) for x in points]))


def add_s(est, gt, points):
    estimated = [moved(est, x) for x in points]
    return float(np.mean([min(np.linalg.norm(moved(gt, x) - y) for y in estimated) for x in points]))


def mssd(est, gt, points, symmetries):
    return min(max(np.linalg.norm(moved(est, x) - moved(gt @ s, x)) for x in points) for s in symmetries)


def mspd(est, gt, points, symmetries, K):
    return min(
        max(np.linalg.norm(pixel(K, moved(est, x)) - pixel(K, moved(gt @ s, x))) for x in points) for s in symmetries
    )


def vsd(depth_est, depth_gt, depth_test, K, diameter, delta, taus):
    """(T,) of three maps (H, W), pixel by pixel."""
    height, width = depth_est.shape
    wrong, union = [0] * len(taus), 0
    for r in range(height):
        for c in range(width):
            ray = np.linalg.inv(K) @ [c, r, 1.0]
            length = np.linalg.norm(ray / ray[2])
            est, gt, test = (float(d[r, c]) * length for d in (depth_est, depth_gt, depth_test))
            sees_gt = gt > 0 and (gt - test <= delta or test == 0)
            sees_est = est > 0 and (est - test <= delta or test == 0 or sees_gt)
            if not (sees_gt or sees_est):
                continue
            union += 1
            for t, tau in enumerate(taus):
                if not (sees_gt and sees_est) or abs(est - gt) / diameter >= tau:
                    wrong[t] += 1
    return [w / union if union else 1.0 for w in wrong]


def match(errors, threshold):
    """Ground truth of each estimate, -1 for none; estimates in the order of falling score."""
    free, out = set(range(len(errors[0]) if len(errors) else 0)), []
    for row in errors:
        best, best_error = -1, threshold
        for g, error in enumerate(row):
            if g in free and error < best_error:
                best, best_error = g, error
        if best >= 0:
            free.remove(best)
        out.append(best)
    return out


def average_precision(right, truths):
    """COCO's 101 recalls, one by one."""
    hits, points = 0, []
    for n, is_right in enumerate(right, start=1):
        hits += bool(is_right)
        points.append((hits / truths, hits / n))
    return float(np.mean([max([p for r, p in points if r >= i / 100], default=0.0) for i in range(101)]))


def area(errors_m, steps=200_000):
    """Area under accuracy from 0 to 0.1 m as a sum of many thin columns."""
    limits = (np.arange(steps) + 0.5) * (0.1 / steps)
    return float((np.sort(errors_m).searchsorted(limits) / len(errors_m)).mean())


def toolbox_area(errors_m):
    """The YCB-Video toolbox's VOCap, as its loop does it."""
    n = len(errors_m)
    errors = sorted(e for e in errors_m if e <= 0.1)
    if not errors:
        return 0.0
    recall = [0.0, *errors, 0.1]
    precision = [0.0, *[(i + 1) / n for i in range(len(errors))], len(errors) / n]
    for i in range(1, len(precision)):
        precision[i] = max(precision[i], precision[i - 1])
    return 10 * math.fsum((recall[i + 1] - recall[i]) * precision[i + 1] for i in range(len(recall) - 1))
